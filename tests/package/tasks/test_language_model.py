"""The language model learns, continues exactly, is measured truly and comes back whole."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from companion.preprocessing import BytePairTokenizer

pytestmark = pytest.mark.tensorflow

TEXTS = ["the cat sat on the mat. " * 30, "a dog and a cat met; naïve both. " * 30]
SMALL = {"vocabulary_size": 270, "sequence_length": 12, "hidden_dim": 16, "num_layers": 1}
PLAN = {"steps": 8, "batch_size": 4, "checkpoint_steps": 2, "progress": False}


def untrained(**settings):
    from companion.tasks import LanguageModel

    return LanguageModel(**{**SMALL, "dropout": 0.1, **settings})


@pytest.fixture(scope="module")
def language():
    model = untrained()
    model.fit(TEXTS, **PLAN)
    return model


def weights(language):
    return np.concatenate([np.asarray(weight).ravel() for weight in language.model.weights])


def test_a_stopped_run_continues_to_the_weights_of_one_that_was_not(language, tmp_path):
    stopped = untrained()
    history = stopped.fit(TEXTS, minutes=1e-9, checkpoint_dir=tmp_path, **PLAN)
    assert (history.epochs, stopped.steps) == (1, 2)
    assert not np.array_equal(weights(stopped), weights(language))
    again = untrained()
    again.fit(TEXTS, checkpoint_dir=tmp_path, **PLAN)
    assert again.steps == 8
    np.testing.assert_array_equal(weights(again), weights(language))


def test_a_run_interrupted_inside_an_epoch_continues_to_the_same_weights(
    language, tmp_path, monkeypatch
):
    from companion.training.batches import Batches

    usual = Batches.__getitem__

    def interrupted(rows, index):
        if index == 1 and len(list(tmp_path.glob("epoch-*.npz"))) == 2:
            raise RuntimeError("stopped here")
        return usual(rows, index)

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__getitem__", interrupted)
        stopped = untrained()
        with pytest.raises(Exception, match="stopped here"):
            stopped.fit(TEXTS, checkpoint_dir=tmp_path, **PLAN)
    again = untrained()
    again.fit(TEXTS, checkpoint_dir=tmp_path, **PLAN)
    np.testing.assert_array_equal(weights(again), weights(language))


KILLED = """
import os, signal, sys
import numpy as np
from companion.training.batches import Batches
from tests.package.tasks.test_language_model import PLAN, TEXTS, untrained
folder, kill = sys.argv[1:]
usual = Batches.start
def start(rows, epoch):
    if kill == "kill" and epoch == 2:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    usual(rows, epoch)
Batches.start = start
language = untrained()
language.fit(TEXTS, checkpoint_dir=folder, **PLAN)
language.save(folder)
"""


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_weights(language, tmp_path):
    from companion.tasks import LanguageModel

    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    killed = subprocess.run([*command, "kill"], capture_output=True, check=False)
    assert killed.returncode != 0
    assert [path.name for path in tmp_path.glob("epoch-*")] != []
    subprocess.run([*command, "no"], capture_output=True, check=True)
    np.testing.assert_array_equal(weights(LanguageModel.load(tmp_path)), weights(language))


def test_bits_per_byte_are_what_the_logits_say_one_by_one(language):
    texts = ["a cat sat, naïve", "dog"]
    bits = 0.0
    for text in texts:
        ids = [language.tokenizer.end_id, *language.tokenizer.encode(text)]
        for place in range(1, len(ids)):
            start = (place - 1) // 12 * 12  # the window in which this token is predicted
            row = np.zeros((1, 12), "int32")
            row[0, : place - start] = ids[start:place]
            scores = np.asarray(language.model(row), "float64")[0, place - start - 1]
            bits -= np.log2(np.exp(scores[ids[place]]) / np.exp(scores).sum())
    expected = bits / len("".join(texts).encode())
    assert language.bits_per_byte(texts) == pytest.approx(expected, rel=1e-5)


def test_training_on_bytes_alone_makes_held_back_text_cheaper():
    text = "the cat sat on the mat. "
    language = untrained(dropout=0.0, vocabulary_size=257)
    plan = PLAN | {"steps": 120, "checkpoint_steps": 120, "learning_rate": 0.01}
    language.fit([text * 200], **plan)
    assert language.tokenizer.merges == BytePairTokenizer(257).merges == []
    assert language.bits_per_byte([text[9:] + text * 40]) < 4  # starts at another place


def test_bits_per_byte_do_not_depend_on_how_many_windows_stand_together(language):
    long = "the cat met a dog. " * 40
    halves = [language.bits_per_byte([long[: 19 * 20]]), language.bits_per_byte([long[19 * 20 :]])]
    assert np.mean(halves) == pytest.approx(language.bits_per_byte([long, long]), rel=0.05)


def test_a_saved_model_comes_back_the_same(language, tmp_path):
    from companion.tasks import LanguageModel

    language.save(tmp_path)
    again = LanguageModel.load(tmp_path)
    assert (again.steps, again.settings) == (language.steps, language.settings)
    assert again.bits_per_byte(TEXTS) == language.bits_per_byte(TEXTS)
    options = {"num_tokens": 6, "temperature": 0.8, "top_k": 20, "seed": 3}
    assert again.generate("the", **options) == language.generate("the", **options)


@pytest.mark.parametrize("pattern", ["config.json", "weights-*", "tokenizer-*"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_missing_or_damaged_file_is_refused(language, tmp_path, pattern, damage):
    from companion.tasks import LanguageModel

    language.save(tmp_path)
    (path,) = tmp_path.glob(pattern)
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="no usable language model"):
        LanguageModel.load(tmp_path)


def change(folder, edit):
    config = json.loads((folder / "config.json").read_bytes())
    edit(config["settings"])
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("value", [0, 10**9, -1, "16", None, 1.5, [1]])
@pytest.mark.parametrize(
    "name", ["hidden_dim", "num_layers", "num_heads", "sequence_length", "vocabulary_size"]
)
def test_settings_that_are_impossible_are_refused_before_a_model_is_built(
    language, tmp_path, name, value
):
    from companion.tasks import LanguageModel

    language.save(tmp_path)
    change(tmp_path, lambda settings: settings["parameters"].update({name: value}))
    with pytest.raises(ValueError, match=f"no usable language model: .*{name}"):
        LanguageModel.load(tmp_path)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda s: s["parameters"].update(hidden_dim=18), "numbers, and the settings need"),
        (lambda s: s["parameters"].update(num_layers=2), "numbers, and the settings need"),
        (lambda s: s["parameters"].update(num_layers=1024, hidden_dim=2**14), "more than"),
        (lambda s: s["parameters"].update(num_heads=3), "must divide"),
        (lambda s: s["parameters"].update(nonsense=3), "nonsense"),
        (lambda s: s.update(num_tokens=269), "numbers, and the settings need"),
        (lambda s: s.update(num_tokens=10**9), "vocabulary_size is 1000000000"),
        (lambda s: s.update(num_tokens="270"), "vocabulary_size is"),
        (lambda s: s.update(steps="8"), "steps is '8'"),
        (lambda s: s.pop("steps"), "'steps' is missing"),
    ],
)
def test_settings_of_another_model_are_refused(language, tmp_path, edit, said):
    from companion.tasks import LanguageModel

    language.save(tmp_path)
    change(tmp_path, edit)
    with pytest.raises(ValueError, match=said):
        LanguageModel.load(tmp_path)


@pytest.mark.parametrize(
    ("merges", "said"),
    [
        ("[[97, 98]]", "that of another model"),
        ("[[300, 97]]", "comes later"),
        ("[[-1, 97]]", "comes later"),
        ("[[97]]", "no usable"),
        ("null", "no usable"),
        (str([[97, 97]] + [[256 + i, 256 + i] for i in range(11)]), "bytes, more than"),
    ],
)
def test_a_tokeniser_of_another_model_is_refused(language, tmp_path, merges, said):
    from companion.tasks import LanguageModel
    from tests.package.tasks.test_folder import forge

    language.save(tmp_path)
    forge(tmp_path, "tokenizer.json", f'{{"merges": {merges}}}'.encode())
    with pytest.raises(ValueError, match=said):
        LanguageModel.load(tmp_path)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"num_layers": 3},
        {"hidden_dim": 32, "num_heads": 2},
        {"sequence_length": 20},
        {"vocabulary_size": 400},  # of which the text yields fewer
    ],
)
def test_models_of_any_size_come_back(sizes, tmp_path):
    from companion.tasks import LanguageModel

    model = untrained(**sizes)
    model.fit(TEXTS, **{**PLAN, "steps": 2})
    model.save(tmp_path)
    np.testing.assert_array_equal(weights(LanguageModel.load(tmp_path)), weights(model))


def test_a_model_whose_training_diverged_does_not_replace_a_good_one(language, tmp_path):
    from companion.tasks import LanguageModel

    language.save(tmp_path)
    bad = LanguageModel.load(tmp_path)
    bad.model.set_weights([weight * np.nan for weight in bad.model.get_weights()])
    with pytest.raises(ValueError, match="nan or infinity"):
        bad.save(tmp_path)
    np.testing.assert_array_equal(weights(LanguageModel.load(tmp_path)), weights(language))


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        ("", {}, "empty"),
        (None, {}, "empty"),
        ("xyzzy " * 20, {}, "shorten"),
        ("the", {"num_tokens": 12}, "Shorten"),
        ("the", {"num_tokens": 3, "temperature": -1}, "temperature"),
        ("the", {"num_tokens": 3, "top_k": 0}, "top_k"),
        ("the", {"num_tokens": 3, "top_k": 2.7}, "top_k"),
        ("the", {"num_tokens": 3, "top_p": 0}, "top_p"),
    ],
)
def test_a_wrong_request_is_refused(language, prompt, options, said):
    with pytest.raises(ValueError, match=said):
        language.generate(prompt, **options)


@pytest.mark.parametrize(
    ("texts", "plan", "said"),
    [
        (TEXTS, {"minutes": float("nan")}, "positive"),
        (TEXTS, {"batch_size": 0}, "positive"),
        (["short"], {}, "give more text"),
        ([], {}, "empty"),
        (TEXTS, {"steps": 3}, "multiple"),
        (TEXTS, {"steps": 0}, "multiple"),
        (TEXTS, {"minutes": -1}, "positive"),
    ],
)
def test_a_wrong_plan_is_refused(texts, plan, said):
    with pytest.raises(ValueError, match=said):
        untrained().fit(texts, **{**PLAN, **plan})


def test_an_untrained_model_says_so():
    with pytest.raises(ValueError, match="not trained"):
        untrained().generate("the")


def test_a_prompt_of_any_script_comes_back_at_the_start(language):
    assert language.generate("你好", 3).startswith("你好")


def test_the_commands_train_stop_continue_and_write(tmp_path, capsys, monkeypatch):
    from companion.cli import language as language_commands
    from companion.cli import parser as cli

    monkeypatch.setattr(language_commands, "MODEL", SMALL | {"sequence_length": 128})
    monkeypatch.setattr(language_commands, "STEPS", 200)
    train = {str(i): text * 4 for i, text in enumerate(TEXTS)}
    plays = SimpleNamespace(train=train, test={"other": TEXTS[0]})
    monkeypatch.setattr("companion.data.load_shakespeare", lambda: plays)
    out = str(tmp_path / "gpt")
    command = ["train", "gpt", "--out", out, "--batch-size", "1"]
    assert cli.main([*command, "--minutes", "1e-9"]) == 0
    assert "The same command goes on." in capsys.readouterr().out
    assert cli.main(command) == 0
    assert "200 of 200 steps" in capsys.readouterr().out
    evidence = json.loads((tmp_path / "gpt" / "evidence.json").read_text())
    assert [run["steps_after"] for run in evidence["runs"]] == [100, 200]
    assert evidence["bits_per_byte"]["all"] < 8
    words = ["--prompt", "the cat", "--tokens", "20", "--temperature", "0"]
    assert cli.main(["generate", out, *words]) == 0
    assert capsys.readouterr().out.startswith("the cat")
    for wrong in (["--prompt", ""], ["--prompt", "xyzzy " * 60], ["--prompt", "a", "--top-k", "0"]):
        assert cli.main(["generate", out, *wrong]) == 2
    assert cli.main(["generate", str(tmp_path), "--prompt", "a"]) == 2
    assert "no usable language model" in capsys.readouterr().err


OTHER = {f"{i}.txt": f"letter {i}: the cat sat on mat {i}. " * 40 for i in range(3)}
SIZES = ["--vocabulary-size", "270", "--sequence-length", "16", "--hidden-dim", "16"]
SIZES += ["--num-layers", "1", "--num-heads", "2"]


def test_another_text_and_size_are_learnt_and_the_same_command_goes_on(tmp_path, capsys):
    from companion.cli import parser as cli
    from companion.tasks import LanguageModel

    (tmp_path / "letters").mkdir()
    for name, text in OTHER.items():
        (tmp_path / "letters" / name).write_text(text, "utf-8")
    out = tmp_path / "out"
    command = ["train", "gpt", "--data", str(tmp_path / "letters"), "--out", str(out), *SIZES]
    command += ["--steps", "200", "--batch-size", "1"]
    assert cli.main([*command, "--minutes", "1e-9"]) == 0
    assert cli.main([*command, "--hidden-dim", "32"]) == 1  # another model than the folder's
    assert "has changed" in capsys.readouterr().err
    assert cli.main(command) == 0
    assert "200 of 200 steps" in capsys.readouterr().out
    evidence = json.loads((out / "evidence.json").read_text())
    assert list(evidence["bits_per_byte"]) == ["2.txt", "all"]  # the last document is held out
    assert "--hidden-dim 16" in evidence["command"]
    language = LanguageModel.load(out)
    assert language.bits_per_byte([OTHER["2.txt"]]) == pytest.approx(
        evidence["bits_per_byte"]["all"], abs=1e-3
    )
    assert language.settings["num_heads"] == 2


def test_restart_trains_as_if_nothing_had_been_there(tmp_path, capsys):
    from companion.cli import parser as cli

    (tmp_path / "lines.txt").write_text("the cat sat on the mat. " * 60, "utf-8")
    command = ["train", "gpt", "--data", str(tmp_path / "lines.txt"), *SIZES]
    command += ["--steps", "100", "--batch-size", "1"]
    weights = []
    for out, more in (("old", []), ("old", ["--seed", "5", "--restart"]), ("new", ["--seed", "5"])):
        assert cli.main([*command, "--out", str(tmp_path / out), *more]) == 0
        weights.append((tmp_path / out / "weights.npz").read_bytes())
    assert weights[0] != weights[1] == weights[2]


def test_the_last_tenth_of_a_file_is_held_out(tmp_path):
    from companion.cli.language import _texts

    text = "".join(f"line {i}\n" for i in range(100))
    (tmp_path / "a.txt").write_text(text, "utf-8")
    (train,), test = _texts(str(tmp_path / "a.txt"))
    assert train + test["a.txt"] == text
    assert len(test["a.txt"]) == pytest.approx(len(text) / 10, abs=1)


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
def test_a_text_that_nothing_can_learn_from_is_refused(tmp_path, capsys, content, said):
    from companion.cli import parser as cli

    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    command = ["train", "gpt", "--data", str(path), "--out", str(tmp_path / "out"), *SIZES]
    assert cli.main(command) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "0"],
        ["--batch-size", "0"],
        ["--minutes", "nan"],
        ["--minutes", "0"],
        ["--size", "full"],
        ["--num-heads", "3"],
        ["--num-layers", "0"],
    ],
)
def test_an_impossible_plan_or_size_is_refused(tmp_path, capsys, words):
    from companion.cli import parser as cli

    path = tmp_path / "mine.txt"
    path.write_text("\n".join(OTHER.values()), "utf-8")
    command = ["train", "gpt", "--data", str(path), "--out", str(tmp_path / "out"), *SIZES, *words]
    assert cli.main(command) == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["gpt", "--epochs", "3"],
        ["gpt", "--data", "chinese_reviews"],
        ["--minutes", "1"],
        ["--num-layers", "2"],
    ],
)
def test_an_argument_of_the_other_kind_is_refused(words, capsys):
    from companion.cli import parser as cli

    assert cli.main(["train", *words]) == 2
    assert "train gpt" in capsys.readouterr().err
