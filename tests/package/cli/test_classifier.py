"""The command does what its help says, and tells a user what went wrong."""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from companion.cli import parser as cli

THINGS = ["tea", "soup", "coffee", "rice", "bread"]
GOOD, BAD = ["good", "great", "love", "best"], ["bad", "stale", "awful", "worst"]
needs_keras = pytest.mark.tensorflow


def run(capsys, *words):
    """Runs the command and returns exit code, stdout, stderr."""
    try:
        code = cli.main([str(word) for word in words])
    except SystemExit as end:  # argparse's way out
        code = end.code
    out, err = capsys.readouterr()
    return code, out, err


def write_table(path, numbers):
    rows = [
        (f"{word} {thing} {number}, really", "praise" if word in GOOD else "blame")
        for number in numbers
        for word in GOOD + BAD
        for thing in THINGS
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(
            [("text", "label"), *rows]
        )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained classifier, made by the command itself."""
    folder = tmp_path_factory.mktemp("models")
    table = write_table(folder / "mine.csv", range(5))
    words = ["--architecture", "bag", "--epochs", "40", "--out", str(folder / "mine")]
    assert cli.main(["train", "--data", str(table), *words]) == 0
    return folder / "mine"


@pytest.mark.parametrize(
    ("command", "following"),
    [
        ("data", "companion train"),
        ("train", "companion evaluate"),
        ("evaluate", "companion predict"),
        ("predict", "probability of that label"),
        ("generate", "companion train gpt"),
        ("export", "companion serve"),
        ("serve", "GET /metrics"),
        ("cost", "in a year"),
    ],
)
def test_each_commands_help_shows_an_example_and_what_comes_next(capsys, command, following):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    examples = out.partition("examples:")[2]
    assert f"  companion {command}" in examples
    assert following in examples
    assert "Args:" not in out  # of the function's docstring only the summary


def test_help_loads_neither_numpy_nor_keras():
    code = """
import sys
from companion.cli.parser import main
try:
    main(["--help"])
except SystemExit:
    print(sorted({"numpy", "keras", "tensorflow", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_the_version_is_the_packages(capsys):
    import companion

    assert run(capsys, "--version") == (0, f"companion {companion.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["trian"], "train"),
        (["data", "food_review"], "food_reviews"),
        (["train", "--architecture", "lst"], "lstm"),
        (["train", "--split", "caracter"], "character"),
    ],
)
def test_an_unknown_name_gets_a_close_match(capsys, words, guess):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert f"did you mean '{guess}'?" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dta", "x"], "unknown argument '--dta'"),
        (["mine.csv"], "unknown name 'mine.csv'; Allowed: 'classifier', 'gpt'. Texts are given"),
        (["--seed", "-1"], "--seed: give a whole number from 0 to 4,294,967,295, not '-1'"),
        (["--seed", str(2**32)], "--seed: give a whole number from 0"),
        (["--epochs", "0"], "--epochs: give a whole number from 1"),
        (["--batch-size", "0"], "--batch-size is 0: give at least 1"),
    ],
)
def test_a_slip_in_train_is_named_for_what_it_is(capsys, words, message):
    code, out, err = run(capsys, "train", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_an_unknown_option_shows_the_commands_usage(capsys):
    code, _, err = run(capsys, "predict", "somewhere", "--threshold", "1")
    assert code == 2
    assert "usage: companion predict" in err
    assert "--threshold" in err


@pytest.mark.slow
def test_data_lists_every_set_with_size_and_licence(capsys):
    from companion.data import list_datasets

    code, out, _ = run(capsys, "data")
    assert code == 0
    assert out.count("Licence: ") == out.count(" for training") == len(list_datasets())
    assert all(f"{name}\n" in out for name in list_datasets())


@pytest.mark.slow
def test_data_shows_a_sets_card_and_three_examples(capsys):
    from companion.data import load_dataset

    dataset = load_dataset("food_reviews")
    code, out, _ = run(capsys, "data", "food_reviews")
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
    assert "'.[train]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\ncaf\xe9,good\n", "byte 14 is 0xe9"),
        (b"text,label\nab\0,good\n", "byte 13 is zero"),
        ("text,label\na,b\n".encode("utf-16-le"), "as in UTF-16. Save it as UTF-8 first"),
        (b"review,stars\nfine,5\n", "needs text and label"),
        (b"text,label\nfine,good\n,bad\n", "line 3: the text or the label is missing"),
        (b"text,label\nfine\n", "line 2: the text or the label is missing"),
        (b"text,label\na,1\nb,2\nc,3\n", "needs exactly two"),
        (b"", "needs text and label"),
    ],
)
def test_a_faulty_table_is_refused_with_the_place(capsys, tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    code, out, err = run(capsys, "train", "--data", path, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert message in err


def test_tables_may_be_large_quoted_tab_separated_and_marked(tmp_path):
    from companion.data import load_texts

    text = 'said "fine",\nthen ' + "ok " * 100_000
    path = tmp_path / "mine.tsv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([("label", "text"), ("a", text), ("b", "很好")])
    dataset = load_texts(str(path))
    assert dataset.train.texts == [text.strip(), "很好"]
    assert dataset.train.labels.tolist() == [0, 1]
    assert dataset.label_names == ("a", "b")


def test_a_suffix_in_capitals_is_read(tmp_path):
    from companion.data import load_texts

    path = tmp_path / "MINE.TSV"
    path.write_text("text\tlabel\nFine.\tgood\nStale.\tbad\n", encoding="utf-8")
    assert load_texts(str(path)).train.texts == ["Fine.", "Stale."]


def test_as_written_leaves_no_choice_of_what_it_decides(capsys):
    code, _, err = run(capsys, "train", "--as-written", "--epochs", "3", "--split", "word")
    assert code == 2
    assert "--as-written decides --split, --epochs" in err


@needs_keras
def test_as_written_trains_the_source_documents_program(tmp_path, monkeypatch):
    from companion.tasks import TextClassifier

    calls = {}

    def fit(self, texts, labels, **settings):
        calls.update(settings, texts=len(texts), **self.settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(TextClassifier, "fit", fit)
    assert cli.main(["train", "--as-written", "--out", str(tmp_path)]) == 130
    expected = {"epochs": 10, "batch_size": 32, "validation_split": 0.0, "patience": None}
    expected |= {"architecture": "lstm", "split": "word", "mask_zero": False, "dropout": 0.0}
    expected |= {"vocabulary_size": 1000, "sequence_length": 100, "embedding_dim": 64}
    assert {name: calls[name] for name in expected} == expected
    assert calls["texts"] == 4000


@needs_keras
def test_chinese_reviews_are_split_into_characters_unless_told_otherwise(tmp_path, monkeypatch):
    from companion.tasks import TextClassifier

    splits = []

    def fit(self, *texts, **settings):
        splits.append(self.settings["split"])
        raise KeyboardInterrupt

    monkeypatch.setattr(TextClassifier, "fit", fit)
    train = ["train", "--data", "chinese_reviews", "--out", str(tmp_path)]
    for more in ([], ["--split", "word"], ["--as-written"]):
        cli.main([*train, *more])
    assert splits == ["character", "word", "word"]


@needs_keras
def test_an_interrupted_training_says_how_to_go_on(capsys, tmp_path, monkeypatch):
    from companion.tasks import TextClassifier

    def fit(*texts, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(TextClassifier, "fit", fit)
    code, out, err = run(capsys, "train", "--out", tmp_path)
    assert (code, out) == (130, "")
    assert "the same command continues" in err


@needs_keras
def test_a_finished_folder_is_not_overwritten_unless_told(capsys, folder, tmp_path):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, out, _ = run(capsys, "train", "--data", "food_reviews", "--out", folder)
    assert code == 0
    assert "holds a finished classifier" in out
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_keras
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("food_reveiws", "did you mean 'food_reviews'?"),
        ("mine.csv", "mine.csv has 2 texts, of which a fifth is held out: give at least three"),
    ],
)
def test_restart_deletes_nothing_before_the_data_were_looked_at(
    capsys, folder, tmp_path, monkeypatch, data, message
):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("text,label\nFine.,good\nStale.,bad\n", encoding="utf-8")
    before = contents(folder)
    code, out, err = run(capsys, "train", "--restart", "--data", data, "--out", folder)
    assert (code, out) == (2, "")
    assert message in err
    assert contents(folder) == before


@pytest.mark.parametrize("restart", [[], ["--restart"]])
def test_a_folder_of_another_program_is_left_alone(capsys, tmp_path, restart):
    (tmp_path / "config.json").write_text('{"format": "language-1"}', encoding="utf-8")
    (tmp_path / "weights.npz").write_bytes(b"theirs")
    before = contents(tmp_path)
    code, out, err = run(capsys, "train", "--out", tmp_path, *restart)
    assert (code, out) == (2, "")
    assert "config.json and weights.npz of something else" in err
    assert contents(tmp_path) == before


@needs_keras
def test_an_export_does_not_replace_another_model(capsys, folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    before = contents(tmp_path)
    code, out, err = run(capsys, "export", folder, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "config.json of something else, which would be replaced" in err
    assert contents(tmp_path) == before


@needs_keras
@pytest.mark.parametrize("command", ["train", "export"])
def test_a_full_disk_at_the_end_names_the_file_and_says_what_to_do(
    capsys, folder, tmp_path, monkeypatch, command
):
    from companion.tasks import TextClassifier
    from companion.training import checkpoints

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    words = {
        "train": ["--data", folder.parent / "mine.csv", "--architecture", "bag"],
        "export": [folder],
    }[command]
    monkeypatch.setattr(TextClassifier, "fit", lambda *_, **__: None)
    monkeypatch.setattr(checkpoints.os, "fsync", full)
    code, out, err = run(capsys, command, *words, "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    assert re.search(r"No space left.*(run.json|model.onnx).*Free some space", err)
    assert not [path for path in contents(tmp_path) if path.name != ".lock"]


@needs_keras
def test_a_place_that_cannot_be_written_is_noticed_before_the_training(capsys, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    code, out, err = run(capsys, "train", "--out", tmp_path / "file" / "model")
    assert (code, out) == (1, "")
    assert "Cannot write in" in err


@needs_keras
def test_restart_trains_anew_and_leaves_foreign_files_alone(capsys, tmp_path):
    table = write_table(tmp_path / "mine.csv", range(2))
    words = ["train", "--data", table, "--architecture", "bag", "--out", tmp_path / "out"]
    assert run(capsys, *words, "--epochs", "1")[0] == 0
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    code, out, _ = run(capsys, *words, "--epochs", "2", "--seed", "1", "--restart")
    assert code == 0
    assert out.startswith("2 epochs")
    assert (tmp_path / "out" / "notes.txt").exists()


@needs_keras
def test_other_arguments_on_an_unfinished_folder_say_what_differs(capsys, tmp_path, monkeypatch):
    from companion.tasks import TextClassifier

    table = write_table(tmp_path / "mine.csv", range(2))
    words = ["train", "--data", table, "--architecture", "bag", "--out", tmp_path / "out"]
    with monkeypatch.context() as patch:
        patch.setattr(TextClassifier, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cli.main([str(word) for word in [*words, "--epochs", "1"]])
    code, _, err = run(capsys, *words, "--epochs", "1", "--batch-size", "8")
    assert code == 1
    assert "batch_size was 32 and is now 8" in err


@needs_keras
@pytest.mark.slow
def test_training_killed_and_started_again_saves_the_same_weights(tmp_path):
    table = write_table(tmp_path / "mine.csv", range(20))
    train = [sys.executable, "-m", "companion.cli", "train", "--data", str(table)]
    train += ["--architecture", "bag", "--out"]
    process = subprocess.Popen([*train, str(tmp_path / "killed")])
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("killed/checkpoints/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    assert process.wait() != 0
    assert not (tmp_path / "killed" / "weights.npz").exists()

    for name in ("killed", "whole"):
        command = [*train, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ("Continuing after epoch-" in done.stderr) == (name == "killed")
    killed, whole = ((tmp_path / name / "weights.npz").read_bytes() for name in ("killed", "whole"))
    assert killed == whole


@needs_keras
def test_evaluate_puts_intervals_and_baselines_beside_the_accuracy(capsys, folder, tmp_path):
    table = write_table(tmp_path / "test.tsv", range(5, 8))
    code, out, _ = run(capsys, "evaluate", folder, "--data", table)
    assert code == 0
    lines = out.splitlines()
    assert "120 texts" in lines[0]
    accuracies = [float(line[32:37]) for line in lines[1:4]]
    assert accuracies == [1, 1, 0.5]
    assert all("95 % interval" in line for line in lines[1:4])
    assert "always 'praise'" in lines[3]
    assert "200 training texts" in lines[4]
    assert "; 0 of the texts tested" in lines[4]


@needs_keras
def test_evaluate_counts_the_tested_texts_that_were_learnt_from(capsys, folder):
    code, out, _ = run(capsys, "evaluate", folder, "--data", folder.parent / "mine.csv")
    assert code == 0
    assert "; 200 of the texts tested" in out


@needs_keras
def test_evaluate_needs_other_texts_than_a_file_that_was_learnt_from(capsys, folder):
    code, out, err = run(capsys, "evaluate", folder)
    assert (code, out) == (2, "")
    assert "--data FILE" in err


@needs_keras
def test_evaluate_refuses_labels_that_the_classifier_does_not_know(capsys, folder, tmp_path):
    table = tmp_path / "test.csv"
    table.write_text("text,label\na,good\nb,bad\n", encoding="utf-8")
    code, _, err = run(capsys, "evaluate", folder, "--data", table)
    assert code == 2
    assert "it needs 'blame' and 'praise'" in err


@needs_keras
def test_predict_prints_label_probability_and_text(capsys, folder):
    code, out, err = run(capsys, "predict", folder, "good tea", "awful\ttea 🙂\nindeed")
    assert (code, err) == (0, "")
    (good, p_good, text), (bad, p_bad, other) = (line.split("\t") for line in out.splitlines())
    assert (good, text, bad, other) == ("praise", "good tea", "blame", "awful tea 🙂 indeed")
    assert 0.5 <= float(p_good) <= 1
    assert 0.5 <= float(p_bad) <= 1


@needs_keras
def test_predict_reads_thousands_of_lines_and_counts_the_empty_ones(capsys, folder, tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"good tea\r\n\r\nbad tea\r\n" * 2000)
    code, out, err = run(capsys, "predict", folder, "--file", path)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["praise", "blame"] * 2000
    assert "2,000 empty lines" in err


@needs_keras
def test_one_empty_line_is_one(capsys, folder, tmp_path):
    (tmp_path / "reviews.txt").write_text("good tea\n\nbad tea\n", encoding="utf-8")
    assert (
        "1 empty line is left out"
        in run(capsys, "predict", folder, "--file", tmp_path / "reviews.txt")[2]
    )


def test_standard_input_is_called_by_its_name(capsys, tmp_path, monkeypatch):
    for content, message in ((b"\n", "input holds no text"), (b"\xff", "input is not UTF-8")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        code, _, err = run(capsys, "predict", tmp_path, "--file", "-")
        assert code == 2
        assert f"error: standard {message}" in err


@needs_keras
def test_predict_reads_stdin(capsys, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("stale 汤\n".encode())))
    code, out, _ = run(capsys, "predict", folder, "--file", "-")
    assert code == 0
    assert out.startswith("blame\t")


@needs_keras
def test_predict_says_when_it_only_knows_the_base_rate(capsys, folder):
    code, out, err = run(capsys, "predict", folder, "good tea", "qwerty", "很好")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "2 texts, the first of them text 2, holds nothing" in err
    assert "base rate" in err


@needs_keras
def test_predict_reads_the_beginning_of_a_megabyte_and_says_so(capsys, folder, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("good " * 200_000, encoding="utf-8")
    code, out, err = run(capsys, "predict", folder, "--file", path)
    assert code == 0
    assert len(out) < 100
    assert "text 1 is longer than 100 tokens" in err


@needs_keras
def test_a_strangers_text_cannot_control_the_terminal(capsys, folder):
    _, out, _ = run(capsys, "predict", folder, "good \x1b[2J\x07 tea")
    assert "\x1b" not in out
    assert "\x07" not in out


def change_run(folder, target, **changes):
    """Copies a classifier into a folder and changes what is noted beside it."""
    for path in folder.iterdir():
        if path.is_file():
            (target / path.name).write_bytes(path.read_bytes())
    run = json.loads((target / "run.json").read_bytes())
    (target / "run.json").write_text(json.dumps({**run, **changes}), encoding="utf-8")


@needs_keras
def test_a_strangers_label_cannot_control_the_terminal_or_add_a_column(capsys, folder, tmp_path):
    change_run(folder, tmp_path, label_names=["\x1b]0;pwned\x07no", "b\tb" * 99])
    _, out, _ = run(capsys, "predict", tmp_path, "good tea", "bad tea")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert [line.count("\t") for line in out.splitlines()] == [2, 2]
    assert max(map(len, out.splitlines())) < 80


@needs_keras
@pytest.mark.parametrize(
    "changes",
    [
        {"label_names": 5},
        {"label_names": []},
        {"label_names": None},
        {"label_names": {"0": 1}},
        {"label_names": [1, 2]},
        {"data": 5},
        {"is_file": "no"},
    ],
)
def test_a_damaged_note_on_the_training_is_refused(capsys, folder, tmp_path, changes):
    change_run(folder, tmp_path, **changes)
    for command in (["predict", tmp_path, "good tea"], ["evaluate", tmp_path]):
        code, out, err = run(capsys, *command)
        assert (code, out) == (2, "")
        assert "run.json is missing or damaged" in err


@pytest.mark.parametrize(
    ("words", "content", "message"),
    [
        ([], None, "give either texts"),
        (["a", "--file", "FILE"], b"a", "give either texts"),
        (["good", " "], None, "text 2 is empty"),
        (["--file", "FILE"], None, "cannot read"),
        (["--file", "FILE"], b"\n \n", "holds no text"),
        (["--file", "FILE"], b"abc\xff", "byte 3 is 0xff"),
        (["--file", "FILE"], b"\x7fELF\0\0", "byte 4 is zero"),
    ],
)
def test_predict_refuses_what_is_no_text(capsys, tmp_path, words, content, message):
    if content is not None:
        (tmp_path / "FILE").write_bytes(content)
    words = [tmp_path / "FILE" if word == "FILE" else word for word in words]
    code, out, err = run(capsys, "predict", tmp_path / "models", *words)
    assert (code, out) == (2, "")
    assert message in err


@needs_keras
def test_a_folder_without_a_classifier_is_refused(capsys, tmp_path):
    for command in (["predict", tmp_path, "a text"], ["evaluate", tmp_path]):
        code, _, err = run(capsys, *command)
        assert code == 2
        assert "no config.json" in err


@needs_keras
def test_predict_works_on_a_classifier_saved_from_python_and_evaluate_explains(
    capsys, folder, tmp_path
):
    from companion.tasks import TextClassifier

    TextClassifier.load(folder).save(tmp_path)
    assert run(capsys, "predict", tmp_path, "good tea")[1].startswith("1\t")
    code, _, err = run(capsys, "evaluate", tmp_path)
    assert code == 2
    assert "run.json is missing" in err


@needs_keras
def test_the_saved_run_names_the_data_and_the_labels(folder):
    run = json.loads((folder / "run.json").read_bytes())
    assert run["label_names"] == ["blame", "praise"]
    assert run["data"] == str(folder.parent / "mine.csv")


@pytest.mark.slow
def test_a_closed_pipe_is_no_error_message():
    command = [sys.executable, "-m", "companion.cli", "data"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_cost_prints_the_bill_with_the_date_of_the_price(capsys):
    words = ["cost", "--requests", "1e6", "--tokens-in", "200", "--tokens-out", "2"]
    code, out, _ = run(capsys, *words, "--model", "gpt-6-luna")
    assert code == 0
    assert "21.00" in out
    assert "2026-11-20" in out
    assert out.startswith("1,000,000 requests of 200 tokens in and 2 out")
    assert len(run(capsys, *words)[1].splitlines()) > len(out.splitlines())


def test_cost_repeats_the_numbers_as_they_were_given(capsys):
    words = ["cost", "--requests", "0.5", "--tokens-in", "1e6", "--tokens-out", "0.25"]
    assert "0.5 requests of 1,000,000 tokens in and 0.25 out" in run(capsys, *words)[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--requests", "-1"], "requests must be a number of at least 0"),
        (["--tokens-in", "nan"], "tokens_in must be a number of at least 0"),
        (["--tokens-out", "many"], "invalid float value"),
        (["--model", "gpt-6-lunar"], "did you mean 'gpt-6-luna'?"),
    ],
)
def test_an_impossible_bill_is_refused(capsys, given, message):
    words = ["cost", "--requests", "1", "--tokens-in", "1", "--tokens-out", "1", *given]
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err


@needs_keras
def test_an_exported_classifier_is_served_as_the_trained_one_predicts(capsys, folder, tmp_path):
    import urllib.request

    from companion.tasks import TextClassifier

    code, out, err = run(capsys, "export", folder, "--out", tmp_path / "small", "--quantize")
    assert (code, err) == (0, "")
    assert "companion serve" in out
    command = [sys.executable, "-m", "companion.cli", "serve", tmp_path / "small", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0]
        body = json.dumps({"texts": ["good tea 1, really", "awful soup 2, really"]}).encode()
        answer = json.load(urllib.request.urlopen(f"{url}/predict", body, timeout=30))
        with pytest.raises(SystemExit):
            cli.main(["serve", str(folder), "--port", "many"])
        port = url.rpartition(":")[2]
        code, _, err = run(capsys, "serve", tmp_path / "small", "--port", port)
        assert code == 1
        assert f"port {port}, cannot be used" in err
    finally:
        server.terminate()
        rest, errors = server.communicate(timeout=30)
    assert [each["label"] for each in answer["predictions"]] == ["praise", "blame"]
    scores = TextClassifier.load(folder).predict_proba(json.loads(body)["texts"])
    assert [each["score"] for each in answer["predictions"]] == pytest.approx(scores, abs=0.05)
    if sys.platform != "win32":
        assert (server.returncode, errors) == (0, "")
        assert "no request is left unanswered" in rest


@needs_keras
def test_export_and_serve_refuse_what_is_no_classifier(capsys, folder, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04 cut off")
    for command in ("export", "serve"):
        code, _, err = run(capsys, command, tmp_path / "model.keras")
        assert code == 2
        assert "Files that could run code (.keras, .h5, pickle) are not read" in err
    code, _, err = run(capsys, "export", folder, "--out", folder)
    assert code == 2
    assert "own folder" in err
