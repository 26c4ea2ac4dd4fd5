"""The classifier learns, comes back from its folder unchanged, and refuses other folders."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

GOOD, BAD = ["good", "great", "love", "best"], ["bad", "stale", "awful", "worst"]
TEXTS = [
    f"{word} {thing} {i}" for i in range(5) for word in GOOD + BAD for thing in ("tea", "soup")
]
LABELS = np.array([int(text.split()[0] in GOOD) for text in TEXTS])
NEW = ["great juice", "awful juice", "!!!", "🙂 很好", "good " * 1000]


def make(architecture="bag", **settings):
    from companion.tasks import TextClassifier

    sizes = {"vocabulary_size": 50, "sequence_length": 4, "embedding_dim": 8, "hidden_dim": 4}
    return TextClassifier(architecture, **{**sizes, **settings})


def fit(classifier, **settings):
    return classifier.fit(TEXTS, LABELS, **{"epochs": 2, "progress": False, **settings})


@pytest.fixture(scope="module")
def trained():
    classifier = make()
    fit(classifier, epochs=80)
    return classifier


@pytest.fixture
def folder(trained, tmp_path):
    trained.save(tmp_path / "saved")
    return tmp_path / "saved"


def load(folder):
    from companion.tasks import TextClassifier

    return TextClassifier.load(folder)


def test_it_learns_which_words_are_good(trained):
    new = [f"{word} cocoa" for word in GOOD + BAD]
    assert (trained.predict_proba(new) > 0.5).tolist() == [True] * 4 + [False] * 4


def test_any_text_gets_a_probability(trained):
    probabilities = trained.predict_proba(NEW)
    assert probabilities.shape == (len(NEW),)
    assert probabilities.dtype == np.float32
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_a_prediction_does_not_depend_on_the_texts_beside_it(trained):
    together = trained.predict_proba(NEW + TEXTS)
    assert [trained.predict_proba([text])[0] for text in NEW] == together[: len(NEW)].tolist()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"architecture": "lstm", "dropout": 0.2, "seed": 3},
        {"architecture": "lstm", "mask_zero": False, "split": "character"},
    ],
)
def test_a_saved_classifier_predicts_the_same_to_the_last_bit(settings, tmp_path):
    classifier = make(**settings)
    fit(classifier)
    classifier.save(tmp_path)
    again = load(tmp_path)
    assert again.settings == classifier.settings
    assert (again.predict_proba(NEW) == classifier.predict_proba(NEW)).all()


def test_the_folder_holds_two_files_that_cannot_run_code(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.npz"]
    with np.load(folder / "weights.npz", allow_pickle=False) as weights:
        assert all(weights[name].dtype != object for name in weights.files)


def test_the_vocabulary_comes_from_the_texts_trained_on_only():
    classifier = make(vocabulary_size=1000)
    texts = [f"{text} only{i}" for i, text in enumerate(TEXTS)]
    classifier.fit(texts, LABELS, epochs=1, validation_split=0.25, progress=False)
    known = classifier.vectorizer.get_vocabulary()
    assert sum(token.startswith("only") for token in known) == 0.75 * len(TEXTS)


def test_the_held_out_part_has_the_same_share_of_each_label_and_follows_the_seed():
    from companion.tasks.text_classifier import _split

    labels = np.array([1] * 30 + [0] * 10)
    train, held_out = _split(labels, 0.2, seed=0)
    assert sorted([*train, *held_out]) == list(range(40))
    assert np.bincount(labels[held_out]).tolist() == [2, 6]
    assert held_out.tolist() == _split(labels, 0.2, seed=0)[1].tolist()
    assert held_out.tolist() != _split(labels, 0.2, seed=1)[1].tolist()


def test_an_lstm_without_a_mask_ends_on_a_word():
    classifier = make("lstm", mask_zero=False, sequence_length=6)
    fit(classifier, epochs=1)
    ids = classifier._ids(["good tea", "good " * 9])
    plain = np.asarray(classifier.vectorizer(["good tea"]))[0]
    assert ids[0].tolist() == [0, 0, 0, 0, *plain[:2]]
    assert ids[1].all()


def test_a_stopped_training_continues_to_the_same_predictions(tmp_path):
    whole, resumed = make(dropout=0.3), make(dropout=0.3)
    fit(make(dropout=0.3), checkpoint_dir=tmp_path, epochs=1)
    fit(resumed, checkpoint_dir=tmp_path, epochs=3)
    fit(whole, epochs=3)
    assert (whole.predict_proba(NEW) == resumed.predict_proba(NEW)).all()


@pytest.mark.parametrize(
    ("texts", "labels", "settings", "message"),
    [
        ("a text", [1], {}, r"\[text\]"),
        (TEXTS, LABELS[:-1], {}, "80 texts and 79 labels"),
        (TEXTS, np.where(LABELS, "good", "bad"), {}, "labels must be 0 and 1"),
        (TEXTS, LABELS + 1, {}, "0 and 1"),
        (TEXTS, np.ones(80), {}, "No label is 0"),
        (TEXTS, LABELS, {"validation_split": 1}, "below 1"),
        (TEXTS, LABELS, {"validation_split": 0}, "needs held-out data"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(texts, labels, settings, message):
    with pytest.raises(ValueError, match=message):
        make().fit(texts, labels, progress=False, **settings)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="'lstm' or 'bag'"):
        make("gru")


@pytest.mark.parametrize("use", [lambda c: c.predict_proba(["a"]), lambda c: c.save("nowhere")])
def test_an_untrained_classifier_says_so(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="call fit first"):
        use(make())
    assert not list(tmp_path.iterdir())


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")


def change_settings(folder, **changes):
    config = json.loads((folder / "config.json").read_bytes())
    change_config(folder, settings={**config["settings"], **changes})


def with_pickled_weights(folder):
    import hashlib

    np.savez(folder / "weights.npz", meta=np.array([pickle.dumps], dtype=object))
    content = (folder / "weights.npz").read_bytes()
    change_config(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def with_weights_that_are_no_numbers(folder):
    classifier = load(folder)
    classifier.model.set_weights([weight * np.nan for weight in classifier.model.get_weights()])
    classifier.save(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "weights.npz").unlink(), "no weights.npz"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is damaged"),
        (lambda f: (f / "config.json").write_text("[]"), "config.json is damaged"),
        (lambda f: change_config(f, format=2), "format 2"),
        (lambda f: (f / "weights.npz").write_bytes(b"PK"), "weights.npz is damaged"),
        (with_pickled_weights, "pickle"),
        (lambda f: change_config(f, vocabulary=[1]), "strings only"),
        (lambda f: change_config(f, vocabulary=None), "no usable classifier"),
        (lambda f: change_settings(f, embedding_dim=9), "shapes"),
        (lambda f: change_settings(f, vocabulary_size=10**11), "vocabulary_size is 100000000000"),
        (lambda f: change_settings(f, vocabulary_size=[50]), "no usable classifier"),
        (lambda f: change_config(f, format=["onnx-1"]), "format"),
        (with_weights_that_are_no_numbers, "nan or infinity"),
        (lambda f: change_settings(f, architecture="lstm"), "shapes"),
        (lambda f: change_settings(f, embedding_dim="8"), "no usable classifier"),
        (lambda f: change_settings(f, layers=3), "layers"),
    ],
)
def test_a_damaged_folder_is_refused_with_what_to_do(folder, damage, message):
    damage(folder)
    with pytest.raises(ValueError, match=message) as error:
        load(folder)
    assert "Train again" in str(error.value)


@pytest.mark.parametrize(("format", "use"), [("onnx-1", "serve"), ("language-1", "generate")])
def test_another_kind_of_model_is_named_with_what_reads_it(folder, format, use):
    change_config(folder, format=format)
    (folder / "weights.npz").unlink()
    with pytest.raises(ValueError, match=f"companion {use}"):
        load(folder)


def test_too_few_texts_to_hold_any_out_are_refused_with_what_fit_takes():
    with pytest.raises(ValueError, match=r"larger validation_split, or patience=None"):
        make().fit(["good", "bad"], [1, 0], progress=False)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.pkl"])
def test_a_file_of_a_format_that_can_run_code_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ValueError, match="could run code"):
        load(tmp_path / name)
