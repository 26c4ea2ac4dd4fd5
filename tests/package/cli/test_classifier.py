"""The commands of the text classifier do what their help says, and lose nothing."""

from __future__ import annotations

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

from companion.cli import main

from .conftest import contents, write_table

needs_keras = pytest.mark.tensorflow
SET = "text,label\n"


def test_as_written_leaves_no_choice_of_what_it_decides(run):
    code, _, err = run("train", "--as-written", "--epochs", "3", "--split", "word")
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
    assert main(["train", "--as-written", "--out", str(tmp_path)]) == 130
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
        main([*train, *more])
    assert splits == ["character", "word", "word"]


@needs_keras
@pytest.mark.parametrize("restart", [[], ["--restart"]])
def test_an_interrupted_training_says_how_to_go_on_where_something_is_kept(
    run, tmp_path, monkeypatch, restart
):
    from companion.tasks import TextClassifier
    from companion.training.checkpoints import CheckpointFolder

    kept = []

    def fit(*texts, checkpoint_dir, **settings):
        if kept:
            CheckpointFolder(checkpoint_dir).save(1, {}, {})
        raise KeyboardInterrupt

    monkeypatch.setattr(TextClassifier, "fit", fit)
    table = write_table(tmp_path / "mine.csv", range(1))
    words = ["train", "--data", table, "--out", tmp_path / "out", *restart]
    code, out, err = run(*words)
    assert (code, out) == (130, "")
    assert err.endswith("Interrupted.\n")
    assert not (tmp_path / "out").exists()
    kept.append(True)
    code, _, err = run(*words)
    assert code == 130
    assert f"the same command{' without --restart' if restart else ''} continues" in err
    assert (tmp_path / "out" / "checkpoints" / "epoch-0001.npz").exists()


@needs_keras
def test_a_finished_folder_is_used_for_the_same_training_only(run, folder, tmp_path):
    before = contents(folder)
    table, other = folder.parent / "mine.csv", write_table(tmp_path / "mine.csv", range(2))
    words = ["train", "--out", folder, "--architecture", "bag", "--epochs", "40"]
    code, out, _ = run(*words, "--data", table)
    assert code == 0
    assert "holds this classifier, finished. Use it: companion predict" in out
    for more, difference in (
        (["--data", other], "--data was"),
        (["--data", "food_reviews"], "is now food_reviews"),
        (["--data", table, "--seed", "1"], "--seed was 0 and is now 1"),
        (["--data", table, "--batch-size", "8"], "--batch-size was 32 and is now 8"),
    ):
        code, out, err = run(*words, *more)
        assert (code, out) == (2, "")
        assert difference in err
        assert "--restart" in err
    assert contents(folder) == before


@needs_keras
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("food_reveiws", "did you mean 'food_reviews'?"),
        ("mine.csv", "mine.csv has 1 of its 2 texts under the label"),
    ],
)
def test_restart_deletes_nothing_before_the_data_were_looked_at(
    run, folder, tmp_path, monkeypatch, data, message
):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("text,label\nFine.,good\nStale.,bad\n", encoding="utf-8")
    before = contents(folder)
    code, out, err = run("train", "--restart", "--data", data, "--out", folder)
    assert (code, out) == (2, "")
    assert message in err
    assert contents(folder) == before


@needs_keras
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (":),good\n:(,bad\n;-),good\n:-(,bad\n:-),good\n>:(,bad\n", "no token"),
        (
            "a b,good\nc d,good\ne f,good\ng h,good\ni j,bad\n",
            "1 of its 5 texts under the label 'bad'",
        ),
    ],
)
@pytest.mark.parametrize("restart", [[], ["--restart"]])
def test_texts_that_nothing_can_learn_from_change_nothing(
    run, folder, tmp_path, content, message, restart
):
    (tmp_path / "mine.csv").write_text(SET + content, encoding="utf-8")
    out = folder if restart else tmp_path / "out"
    before = contents(out)
    words = ["train", "--data", tmp_path / "mine.csv", "--architecture", "bag", *restart]
    code, _, err = run(*words, "--out", out)
    assert code == 2
    assert message in err
    assert contents(out) == before
    assert out.exists() == bool(restart)


@needs_keras
@pytest.mark.parametrize("restart", [[], ["--restart"]])
def test_a_folder_of_another_program_is_left_alone(run, tmp_path, restart):
    (tmp_path / "config.json").write_text('{"format": "language-1"}', encoding="utf-8")
    before = contents(tmp_path)
    code, out, err = run("train", "--out", tmp_path, *restart)
    assert (code, out) == (2, "")
    assert "config.json of something else" in err
    assert contents(tmp_path) == before


@needs_keras
def test_an_export_does_not_replace_another_model(run, folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    before = contents(tmp_path)
    code, out, err = run("export", folder, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "holds a text classifier, which would be replaced" in err
    assert contents(tmp_path) == before


@needs_keras
@pytest.mark.parametrize("command", ["train", "export"])
def test_a_full_disk_at_the_end_says_what_to_do_and_leaves_the_old_model(
    run, folder, tmp_path, monkeypatch, command
):
    from companion._common import files

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    table = write_table(tmp_path / "mine.csv", range(1))
    words = {
        "train": ["--data", table, "--architecture", "bag", "--epochs", "1", "--restart"],
        "export": [folder],
    }[command]
    out = folder if command == "train" else tmp_path / "out"
    before = contents(out)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        code, shown, err = run(command, *words, "--out", out)
    assert (code, shown) == (1, "")
    assert re.search(r"No space left.*Free some space", err, re.DOTALL)
    names = {path.name for path in contents(out)} - {".lock"}
    assert names == {path.name for path in before} - {".lock"}
    assert all(
        contents(out)[path] == content for path, content in before.items() if path.name != ".lock"
    )


@needs_keras
def test_a_place_that_cannot_be_written_is_noticed_before_the_training(run, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    code, out, err = run("train", "--out", tmp_path / "file" / "model")
    assert (code, out) == (1, "")
    assert "Cannot write in" in err


@needs_keras
def test_restart_trains_anew_and_leaves_foreign_files_alone(run, tmp_path):
    table = write_table(tmp_path / "mine.csv", range(2))
    words = ["train", "--data", table, "--architecture", "bag", "--out", tmp_path / "out"]
    assert run(*words, "--epochs", "1")[0] == 0
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    code, out, _ = run(*words, "--epochs", "2", "--seed", "1", "--restart")
    assert code == 0
    assert out.startswith("2 epochs")
    assert (tmp_path / "out" / "notes.txt").exists()
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["options"]["seed"] == 1


@needs_keras
def test_what_failed_while_saving_is_saved_by_the_same_command_and_by_no_other(
    run, tmp_path, monkeypatch
):
    from companion.tasks import TextClassifier

    table = write_table(tmp_path / "mine.csv", range(2))
    words = ["train", "--data", table, "--architecture", "bag", "--out", tmp_path / "out"]
    words += ["--epochs", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(TextClassifier, "save", lambda *_: 1 / 0)
        code, _, err = run(*words)
    assert code == 1
    assert "ZeroDivisionError" in err
    code, _, err = run(*words, "--batch-size", "8")
    assert code == 2
    assert "--batch-size was 32 and is now 8" in err
    code, _, err = run(*words)
    assert code == 0
    assert "Continuing after epoch-0001" in err


@needs_keras
@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_a_table_whose_name_is_no_text_is_learnt_from_and_saved(run, tmp_path):
    table = write_table(tmp_path / "mine.csv", range(1)).rename(tmp_path / "f\udcfcr.csv")
    words = ["train", "--data", table, "--architecture", "bag", "--epochs", "1"]
    for _ in range(2):
        assert run(*words, "--out", tmp_path / "out")[0] == 0
    assert run("predict", tmp_path / "out", "good tea")[0] == 0


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
    assert not (tmp_path / "killed" / "config.json").exists()

    for name in ("killed", "whole"):
        command = [*train, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ("Continuing after epoch-" in done.stderr) == (name == "killed")
    killed, whole = ((tmp_path / name / "config.json").read_bytes() for name in ("killed", "whole"))
    assert killed == whole  # it holds the weights' hash


@needs_keras
def test_evaluate_puts_intervals_and_baselines_beside_the_accuracy(run, folder, tmp_path):
    table = write_table(tmp_path / "test.tsv", range(5, 8))
    code, out, _ = run("evaluate", folder, "--data", table)
    assert code == 0
    lines = out.splitlines()
    assert "120 texts" in lines[0]
    accuracies = [re.search(r"[01]\.\d{3}", line)[0] for line in lines[1:4]]
    assert accuracies == ["1.000", "1.000", "0.500"]
    assert all("95 % interval" in line for line in lines[1:4])
    assert "always 'praise'" in lines[3]
    assert "200 training texts" in lines[4]
    assert "; 0 of the texts tested" in lines[4]


@needs_keras
def test_evaluate_counts_the_tested_texts_that_were_learnt_from(run, folder):
    code, out, _ = run("evaluate", folder, "--data", folder.parent / "mine.csv")
    assert code == 0
    assert "; 200 of the texts tested" in out


@needs_keras
def test_evaluate_needs_other_texts_than_a_file_that_was_learnt_from(run, folder):
    code, out, err = run("evaluate", folder)
    assert (code, out) == (2, "")
    assert "--data FILE" in err


@needs_keras
def test_evaluate_refuses_labels_that_the_classifier_does_not_know(run, folder, tmp_path):
    table = tmp_path / "test.csv"
    table.write_text("text,label\na,good\nb,bad\n", encoding="utf-8")
    code, _, err = run("evaluate", folder, "--data", table)
    assert code == 2
    assert "it needs 'blame' and 'praise'" in err


@needs_keras
@pytest.mark.parametrize("change", ["other labels", "more rows", "gone"])
def test_evaluate_says_that_the_training_file_has_changed_and_goes_by_what_was_learnt(
    run, tmp_path, change
):
    table = write_table(tmp_path / "mine.csv", range(2))
    test = write_table(tmp_path / "test.csv", range(2))
    words = ["train", "--data", table, "--architecture", "bag", "--epochs", "40"]
    assert run(*words, "--out", tmp_path / "out")[0] == 0
    text = table.read_text("utf-8")
    if change == "other labels":  # the order of the alphabet would turn round
        table.write_text(text.replace("praise", "a").replace("blame", "b"), "utf-8")
    elif change == "more rows":
        write_table(table, range(9))
    else:
        table.unlink()
    code, out, err = run("evaluate", tmp_path / "out", "--data", test)
    assert code == 0
    assert ("cannot be read any more" if change == "gone" else "has changed since") in err
    assert re.search(r"this classifier +1\.000", out)
    assert "80 training texts" in out
    assert "TF-IDF" not in out


@needs_keras
def test_evaluate_notes_a_test_that_misses_a_label(run, folder, tmp_path):
    (tmp_path / "test.csv").write_text(SET + "good tea,praise\n", encoding="utf-8")
    code, _, err = run("evaluate", folder, "--data", tmp_path / "test.csv")
    assert code == 0
    assert "all texts tested have the label 'praise'" in err


@needs_keras
def test_the_threshold_of_the_model_decides_unless_another_is_given(run, folder, tmp_path):
    from companion.tasks import TextClassifier

    classifier = TextClassifier.load(folder)
    classifier.threshold = 1.0
    classifier.save(tmp_path)
    table = write_table(tmp_path / "test.csv", range(1))
    assert run("predict", tmp_path, "good tea")[1].startswith("blame\t0.")
    assert run("predict", tmp_path, "good tea", "--threshold", "0.5")[1].startswith("praise\t")
    assert " 0.500 " in run("evaluate", tmp_path, "--data", table)[1]
    assert " 1.000 " in run("evaluate", tmp_path, "--data", table, "--threshold", "0.5")[1]


@needs_keras
def test_predict_prints_label_probability_and_text(run, folder):
    code, out, err = run("predict", folder, "good tea", "awful\ttea 🙂\nindeed")
    assert (code, err) == (0, "")
    (good, p_good, text), (bad, p_bad, other) = (line.split("\t") for line in out.splitlines())
    assert (good, text, bad, other) == ("praise", "good tea", "blame", "awful tea 🙂 indeed")
    assert 0.5 <= float(p_good) <= 1
    assert 0.5 <= float(p_bad) <= 1


@needs_keras
def test_predict_gives_each_line_of_a_file_a_row_and_says_which_are_empty(run, folder, tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"good tea\r\n\r\nbad tea\r\n" * 500)
    code, out, err = run("predict", folder, "--file", path)
    assert code == 0
    labels = [line.split("\t")[0] for line in out.split("\n")]
    assert labels == ["praise", "", "blame"] * 500 + [""]
    assert all(line.count("\t") == 2 for line in out.splitlines())
    assert "each of 500 lines, the first of them line 2, is empty" in err


@needs_keras
def test_predict_counts_lines_in_what_it_says_of_them(run, folder, tmp_path):
    (tmp_path / "reviews.txt").write_text("\ngood tea\n\nqwerty\n", encoding="utf-8")
    err = run("predict", folder, "--file", tmp_path / "reviews.txt")[2]
    assert "line 4 holds nothing that the classifier knows" in err


@needs_keras
def test_a_text_of_punctuation_only_is_predicted_with_a_note(run, folder):
    code, out, err = run("predict", folder, ":-)", "good tea")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "text 1 holds nothing that the classifier knows" in err


def test_standard_input_is_called_by_its_name(run, tmp_path, monkeypatch):
    for content, message in ((b"\n", "input holds no text"), (b"\xff", "input is not UTF-8")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        code, _, err = run("predict", tmp_path, "--file", "-")
        assert code == 2
        assert f"error: standard {message}" in err


@needs_keras
def test_predict_reads_stdin(run, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("stale 汤\n".encode())))
    code, out, _ = run("predict", folder, "--file", "-")
    assert code == 0
    assert out.startswith("blame\t")


@needs_keras
def test_predict_says_when_it_only_knows_the_base_rate(run, folder):
    code, out, err = run("predict", folder, "good tea", "qwerty", "很好")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "2 texts, the first of them text 2, holds nothing" in err
    assert "base rate" in err


@needs_keras
def test_predict_reads_the_beginning_of_a_megabyte_and_says_so(run, folder, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("good " * 200_000, encoding="utf-8")
    code, out, err = run("predict", folder, "--file", path)
    assert code == 0
    assert len(out) < 100
    assert "line 1 is longer than 100 tokens" in err


@needs_keras
def test_a_strangers_text_cannot_control_the_terminal(run, folder):
    _, out, _ = run("predict", folder, "good \x1b[2J\x07 tea")
    assert "\x1b" not in out
    assert "\x07" not in out


def change(folder, target, **changes):
    """Copies a classifier into a folder and changes what is noted beside it."""
    for path, content in contents(folder).items():
        if path.parent == folder:
            (target / path.name).write_bytes(content)
    run = json.loads((target / "run.json").read_bytes())
    (target / "run.json").write_text(json.dumps({**run, **changes}), encoding="utf-8")


@needs_keras
def test_a_strangers_label_cannot_control_the_terminal_or_add_a_column(run, tmp_path):
    from companion.tasks import TextClassifier

    classifier = TextClassifier("bag", sequence_length=4)
    names = ["\x1b]0;pwned\x07no", "b\tb" * 99]
    classifier.fit(["good tea", "bad tea"] * 5, names * 5, epochs=1, progress=False)
    classifier.save(tmp_path)
    _, out, _ = run("predict", tmp_path, "good tea", "bad tea")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert [line.count("\t") for line in out.splitlines()] == [2, 2]
    assert max(map(len, out.splitlines())) < 80


@needs_keras
@pytest.mark.parametrize(
    "changes",
    [
        {"labels": 5},
        {"data": 5},
        {"sha256": None},
        {"options": []},
        {"texts": "no"},
        {"model": "0"},
    ],
)
def test_a_damaged_note_on_the_training_is_refused(run, folder, tmp_path, changes):
    change(folder, tmp_path, **changes)
    code, out, err = run("evaluate", tmp_path, "--data", folder.parent / "mine.csv")
    assert (code, out) == (2, "")
    assert "run.json is damaged" in err or "run.json belongs to another model" in err
    assert run("predict", tmp_path, "good tea")[0] == 0  # which needs no such note


@needs_keras
def test_an_export_holds_nothing_of_where_the_classifier_came_from(run, folder, tmp_path):
    assert run("export", folder, "--out", tmp_path / "small")[0] == 0
    run_of = json.loads((folder / "run.json").read_bytes())
    assert str(folder.parent).encode() not in (folder / "run.json").read_bytes()
    for content in contents(tmp_path / "small").values():
        assert str(folder.parent).encode() not in content
        assert run_of["sha256"].encode() not in content


@needs_keras
def test_the_printed_next_command_can_be_pasted(run, folder, tmp_path):
    import shlex

    code, out, _ = run("export", folder, "--out", tmp_path / "模型 导出")
    assert code == 0
    command = shlex.split(out.partition("Next: ")[2])
    assert command[:2] == ["companion", "serve"]
    assert Path(command[2]) == tmp_path / "模型 导出"
    table = folder.parent / "mine.csv"
    words = ["--architecture", "bag", "--epochs", "40"]
    out = run("train", "--data", table, *words, "--out", folder)[1]
    command = shlex.split(out.splitlines()[0].partition("Use it: ")[2])
    assert run(*command[1:])[0] == 0


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
        (["good", "\udcff"], None, "text 2 holds bytes that are no UTF-8"),
    ],
)
def test_predict_refuses_what_is_no_text(run, tmp_path, words, content, message):
    if content is not None:
        (tmp_path / "FILE").write_bytes(content)
    words = [tmp_path / "FILE" if word == "FILE" else word for word in words]
    code, out, err = run("predict", tmp_path / "models", *words)
    assert (code, out) == (2, "")
    assert message in err


@needs_keras
def test_a_folder_without_a_classifier_is_refused(run, tmp_path):
    for command in (["predict", tmp_path, "a text"], ["evaluate", tmp_path]):
        code, _, err = run(*command)
        assert code == 2
        assert "no config.json" in err


@needs_keras
def test_a_classifier_saved_from_python_can_be_used_and_evaluated(run, folder, tmp_path):
    from companion.tasks import TextClassifier

    TextClassifier.load(folder).save(tmp_path)
    assert run("predict", tmp_path, "good tea")[1].startswith("praise\t")
    code, _, err = run("evaluate", tmp_path)
    assert code == 2
    assert "texts that nothing names" in err
    code, out, _ = run("evaluate", tmp_path, "--data", folder.parent / "mine.csv")
    assert code == 0
    assert "this classifier" in out
    assert "Protocol" not in out


@needs_keras
def test_an_exported_classifier_is_served_as_the_trained_one_predicts(run, folder, tmp_path):
    import urllib.request

    from companion.tasks import TextClassifier

    code, out, err = run("export", folder, "--out", tmp_path / "small", "--quantize")
    assert (code, err) == (0, "")
    assert "companion serve" in out
    command = [sys.executable, "-m", "companion.cli", "serve", tmp_path / "small", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0]
        body = json.dumps({"texts": ["good tea 1, really", "awful soup 2, really"]}).encode()
        answer = json.load(urllib.request.urlopen(f"{url}/predict", body, timeout=30))
        assert run("serve", folder, "--port", "many")[0] == 2
        port = url.rpartition(":")[2]
        code, _, err = run("serve", tmp_path / "small", "--port", port)
        assert code == 1
        assert f"port {port}, cannot be used" in err
    finally:
        server.terminate()
        rest, errors = server.communicate(timeout=30)
    assert [each["label"] for each in answer["predictions"]] == ["praise", "blame"]
    scores = TextClassifier.load(folder).predict_proba(json.loads(body)["texts"])
    found = [list(each["probabilities"].values()) for each in answer["predictions"]]
    assert found == [pytest.approx(row, abs=0.05) for row in scores.tolist()]
    if sys.platform != "win32":
        assert (server.returncode, errors) == (0, "")
        assert "no request is left unanswered" in rest


@needs_keras
def test_export_and_serve_refuse_what_is_no_classifier(run, folder, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04 cut off")
    for command in ("export", "serve"):
        code, _, err = run(command, tmp_path / "model.keras")
        assert code == 2
        assert "files that could run code are not read" in err
    code, _, err = run("export", folder, "--out", folder)
    assert code == 2
    assert "own folder" in err


@pytest.fixture
def queued(folder, tmp_path, monkeypatch):
    """Five files, one of them no text, and the command that labels two at a time."""
    monkeypatch.setattr("companion.cli.queue._AT_ONCE", 2)
    texts = ["good tea", "bad soup", "love rice", "", "worst bread"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text, "utf-8")
    return ["predict-files", folder, tmp_path, "--out", tmp_path / "labels.jsonl"]


@needs_keras
def test_a_line_for_each_file_says_its_label_or_why_there_is_none(run, queued, folder):
    assert run(*queued)[0] == 0
    lines = queued[-1].read_text("utf-8").splitlines()
    rows = {row["file"]: row for row in map(json.loads, lines)}
    assert [rows[f"{n}.txt"].get("label") for n in range(5)] == [
        "praise", "blame", "praise", None, "blame"
    ]  # fmt: skip
    assert "no text" in rows["3.txt"]["error"]
    said = run("predict", folder, "good tea")[1].split("\t")
    assert said[:2] == ["praise", f"{rows['0.txt']['probability']:.3f}"]


@needs_keras
def test_wherever_a_queue_is_cut_off_the_same_command_does_the_rest_once(run, queued, monkeypatch):
    from companion.tasks import TextClassifier

    out, read = queued[-1], []
    assert run(*queued)[0] == 0
    whole = out.read_bytes()
    ends = [place for place, byte in enumerate(whole, 1) if byte == ord("\n")]
    usual = TextClassifier.predict
    monkeypatch.setattr(
        TextClassifier, "predict", lambda self, texts: read.extend(texts) or usual(self, texts)
    )
    for cut, left in ((0, 4), (5, 4), (ends[1], 2), (ends[2] - 1, 2), (ends[2] + 9, 1), (None, 0)):
        out.write_bytes(whole[:cut])
        read.clear()
        assert run(*queued)[0] == 0
        assert out.read_bytes() == whole
        assert len(read) == left


@needs_keras
def test_what_a_queue_has_written_is_kept_when_it_is_interrupted(run, queued, monkeypatch):
    out = queued[-1]
    assert run(*queued)[0] == 0
    whole = out.read_bytes()
    out.unlink()

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("companion.cli.queue.os.fsync", interrupt)
        assert run(*queued)[0] == 130
    assert out.read_bytes() == b"".join(whole.splitlines(keepends=True)[:2])
    assert run(*queued)[0] == 0
    assert out.read_bytes() == whole


@needs_keras
@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        (b"my diary", [], "something else"),
        (b"my\ndiary\n", [], "something else"),
        (b"[1]\n", [], "something else"),
        (b'{"file": "0.txt", "model": "other"}\n', [], "predictions of another model"),
        (b"", ["--threshold", "2"], "from 0 to 1"),
    ],
)
def test_a_queue_that_cannot_be_leaves_the_file_as_it_was(run, queued, content, more, said):
    queued[-1].write_bytes(content)
    code, _, err = run(*queued, *more)
    assert code == 2
    assert said in err
    assert queued[-1].read_bytes() == content


def test_a_queue_without_files_is_refused(run, tmp_path):
    code, _, err = run("predict-files", "models/x", tmp_path, "--out", tmp_path / "out.jsonl")
    assert code == 2
    assert "no folder with .txt files" in err
    assert not list(tmp_path.iterdir())
