"""The commands of the language model train, go on, continue texts, and lose nothing."""

from __future__ import annotations

import json
import os
import shlex
import sys
from types import SimpleNamespace

import pytest

from .conftest import contents

pytestmark = pytest.mark.tensorflow

TEXTS = ["the cat sat on the mat. " * 30, "a dog and a cat met; naïve both. " * 30]
LETTERS = {f"{i}.txt": f"letter {i}: the cat sat on mat {i}. " * 40 for i in range(3)}
SIZES = ["--vocabulary-size", "270", "--sequence-length", "16", "--hidden-dim", "16"]
SIZES += ["--num-layers", "1", "--num-heads", "2", "--batch-size", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A text, and the command that has trained a model on it."""
    from companion.cli import main

    place = tmp_path_factory.mktemp("gpt")
    (place / "mine.txt").write_text(" ".join(LETTERS.values()), "utf-8")
    command = ["train-gpt", "--data", place / "mine.txt", "--out", place / "out", *SIZES]
    command += ["--steps", "100"]
    assert main([str(word) for word in command]) == 0
    return place / "out", command


def test_shakespeare_is_learnt_from_and_the_same_command_goes_on(run, tmp_path, monkeypatch):
    train = {str(i): text * 4 for i, text in enumerate(TEXTS)}
    plays = SimpleNamespace(train=train, test={"other": TEXTS[0]})
    monkeypatch.setattr("companion.data.prose.load_shakespeare", lambda: plays)
    command = ["train-gpt", "--out", tmp_path / "gpt", *SIZES, "--steps", "200"]
    code, out, _ = run(*command, "--minutes", "1e-9")
    assert code == 0
    assert "100 of 200 steps" in out
    assert "The same command goes on." in out
    code, out, _ = run(*command)
    assert code == 0
    assert "200 of 200 steps" in out
    assert {path.name.partition("-")[0] for path in (tmp_path / "gpt").glob("*.*")} == {
        "config.json", "run.json", "tokenizer", "weights", ".lock"
    }  # fmt: skip


def test_the_printed_next_command_works(run, trained):
    _, command = trained
    code, out, _ = run(*command)
    assert code == 0
    _, *words = shlex.split(out.partition("Next: ")[2])
    assert words[0] == "generate"
    code, out, _ = run(*words)
    assert code == 0
    assert out.startswith(words[words.index("--prompt") + 1])


def test_a_folder_of_texts_is_learnt_from_but_for_the_last(run, tmp_path):
    from companion.tasks import LanguageModel

    (tmp_path / "letters").mkdir()
    for name, text in LETTERS.items():
        (tmp_path / "letters" / name).write_text(text, "utf-8")
    command = ["train-gpt", "--data", tmp_path / "letters", "--out", tmp_path / "out", *SIZES]
    code, out, _ = run(*command, "--steps", "100")
    assert code == 0
    bits = LanguageModel.load(tmp_path / "out").bits_per_byte([LETTERS["2.txt"]])
    assert f"  {'2.txt':<20}{bits:.3f}" in out
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["texts"] == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--steps", "200"], "--steps was 100 and is now 200"),
        (["--hidden-dim", "32"], "--hidden-dim was 16 and is now 32"),
        (["--seed", "5"], "--seed was 0 and is now 5"),
        (["--restart", "--steps", "150"], "a multiple of 100"),
        (["--restart", "--minutes", "0"], "above 0"),
        (["--restart", "--minutes", "nan"], "above 0"),
        (["--restart", "--num-heads", "3"], "a multiple of twice --num-heads"),
        (["--restart", "--batch-size", "9999"], "smaller --batch-size or --sequence-length"),
        (["--restart", "--data", "nowhere.txt"], "there is no file"),
        (["--size", "full"], "unknown argument"),
    ],
)
def test_what_is_refused_changes_nothing(run, trained, more, said):
    folder, command = trained
    before = contents(folder)
    code, _, err = run(*command, *more)
    assert code == 2
    assert said in err
    assert {path: c for path, c in contents(folder).items() if path.name != ".lock"} == {
        path: content for path, content in before.items() if path.name != ".lock"
    }


def test_the_old_model_stays_until_the_new_one_is_saved(run, trained, monkeypatch):
    from companion.tasks import LanguageModel

    folder, command = trained
    before = contents(folder)

    def fit(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "fit", fit)
        code, _, err = run(*command, "--restart", "--seed", "3")
    assert code == 130
    assert "continues" not in err
    assert {path: c for path, c in contents(folder).items() if path.name != ".lock"} == {
        path: content for path, content in before.items() if path.name != ".lock"
    }


def test_restart_trains_as_if_nothing_had_been_there(run, tmp_path):
    (tmp_path / "lines.txt").write_text("the cat sat on the mat. " * 60, "utf-8")
    command = ["train-gpt", "--data", tmp_path / "lines.txt", *SIZES, "--steps", "100"]
    models = []
    for out, more in (("old", []), ("old", ["--seed", "5", "--restart"]), ("new", ["--seed", "5"])):
        assert run(*command, "--out", tmp_path / out, *more)[0] == 0
        models.append((tmp_path / out / "config.json").read_bytes())  # it holds the weights' hash
    assert models[0] != models[1] == models[2]


def test_a_text_is_continued_up_to_what_the_model_reads(run, trained):
    folder, _ = trained
    code, out, _ = run("generate", folder, "--prompt", "the cat", "--temperature", "0")
    assert code == 0
    assert out.startswith("the cat")
    code, _, err = run("generate", folder, "--prompt", "the cat", "--tokens", "60")
    assert code == 2
    assert "--tokens may be at most" in err
    for prompt, said in (("", "empty"), ("xyzzy " * 60, "shorten"), ("\udcff", "no UTF-8")):
        code, _, err = run("generate", folder, "--prompt", prompt)
        assert code == 2
        assert said in err
    assert "no usable language model" in run("generate", folder / "x", "--prompt", "a")[2]


@pytest.mark.parametrize("prompt", ["\tname\tprice", "　　他说：", "a\u00a0b"])
def test_a_prompt_comes_back_as_it_was_given(run, trained, prompt):
    assert run("generate", trained[0], "--prompt", prompt, "--tokens", "1")[1].startswith(prompt)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no text"),
        (b" \n", "no text"),
        (b"a", "too short"),
        (b"short text", "too few"),
        (b"caf\xe9 " * 99, "not UTF-8"),
        (b"P\x00K" * 99, "no UTF-8"),
        (None, "there is no file"),
    ],
)
def test_a_text_that_nothing_can_learn_from_is_refused_and_leaves_no_folder(
    run, tmp_path, content, said
):
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    code, _, err = run("train-gpt", "--data", path, "--out", tmp_path / "out", *SIZES)
    assert code == 2
    assert said in err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--processes", "0"], "a whole number from 1"),
        (["--processes", "two"], "a whole number from 1"),
        (["--processes", "2"], "--batch-size 1 must be a multiple of --processes 2"),
        (["--processes", "4", "--batch-size", "4"], "more than the 2 processor cores"),
        (["--wait", "0"], "above 0"),
    ],
)
def test_a_number_of_processes_that_cannot_be_changes_nothing(run, trained, two_cores, more, said):
    folder, command = trained
    before = contents(folder)
    code, _, err = run(*command, "--restart", *more)
    assert code == 2
    assert said in err
    assert contents(folder) == before


def test_several_processes_are_refused_without_jax_and_the_model_stays(
    run, trained, two_cores, monkeypatch
):
    folder, command = trained
    before = contents(folder)
    monkeypatch.setattr("companion.training.processes.find_spec", lambda _: None)
    code, _, err = run(*command, "--restart", "--batch-size", "2", "--processes", "2")
    assert code == 1
    assert "--processes 2 needs JAX" in err
    assert contents(folder) == before


def test_a_process_that_does_not_come_is_named_and_leaves_what_was_there(
    run, trained, two_cores, tmp_path, monkeypatch
):
    pytest.importorskip("jax")
    folder, command = trained
    before = contents(folder)
    python = tmp_path / "python"
    python.write_text("#!/bin/bash\nexec tail -f /dev/null\n", "utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    several = ["--restart", "--batch-size", "2", "--processes", "2", "--wait", "1e-9"]
    code, _, err = run(*command, *several)
    assert code == 1
    assert "Process 1 and 2 of 2 did not come within --wait 1e-09" in err
    assert {path: c for path, c in contents(folder).items() if path.name != ".lock"} == {
        path: content for path, content in before.items() if path.name != ".lock"
    }
