"""The language model learns, continues exactly, is measured truly and comes back whole."""

from __future__ import annotations

import json
import subprocess
import sys

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
