"""The classifier learns, is one of scikit-learn's, and comes back from its folder unchanged."""

from __future__ import annotations

import json
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
    assert (trained.predict_proba(new)[:, 1] > 0.5).tolist() == [True] * 4 + [False] * 4
    assert trained.predict(new).tolist() == [1] * 4 + [0] * 4


def test_any_text_gets_a_probability(trained):
    probabilities = trained.predict_proba(NEW)
    assert probabilities.shape == (len(NEW), 2)
    assert probabilities.dtype == np.float32
    assert ((probabilities > 0) & (probabilities < 1)).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_a_prediction_does_not_depend_on_the_texts_beside_it(trained):
    together = trained.predict_proba(NEW + TEXTS)
    alone = np.concatenate([trained.predict_proba([text]) for text in NEW])
    np.testing.assert_array_equal(alone, together[: len(NEW)])


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


def test_the_vocabulary_comes_from_the_texts_trained_on_only():
    classifier = make(vocabulary_size=1000)
    texts = [f"{text} only{i}" for i, text in enumerate(TEXTS)]
    classifier.fit(texts, LABELS, epochs=1, validation_split=0.25, progress=False)
    known = classifier.vectorizer.get_vocabulary()
    assert sum(token.startswith("only") for token in known) == 0.75 * len(TEXTS)


def test_the_held_out_part_has_the_same_share_of_each_label_and_follows_the_seed():
    words = [f"{i}word" for i in range(40)]  # each text has a word of its own
    labels = ["often"] * 30 + ["seldom"] * 10

    def learnt(seed):
        classifier = make(vocabulary_size=1000, seed=seed)
        classifier.fit(words, labels, epochs=1, progress=False)
        known = set(classifier.vectorizer.get_vocabulary())
        return [word in known for word in words]

    first = learnt(0)
    assert (sum(first[:30]), sum(first[30:])) == (24, 8)
    assert first == learnt(0) != learnt(1)


def test_an_lstm_without_a_mask_ends_on_a_word():
    classifier = make("lstm", mask_zero=False, sequence_length=6)
    fit(classifier, epochs=1)
    first, second = np.asarray(classifier.vectorizer(["good tea"]))[0, :2]
    padded = np.array([[0, 0, 0, 0, first, second]])
    expected = np.asarray(classifier.model(padded))[0, 0]
    assert classifier.predict_proba(["good tea"])[0, 1] == pytest.approx(expected, abs=1e-6)


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
        (TEXTS, np.ones(80), {}, "Every label is 1"),
        (TEXTS, [None] * 80, {}, "of the types NoneType"),
        (TEXTS, ["a", 1] * 40, {}, "of the types int, str"),
        (TEXTS, [1, True] * 40, {}, "of the types bool, int"),
        (TEXTS, [0.5, 1.0] * 40, {}, "of the types float, int"),
        (TEXTS, [float("nan"), 1.0] * 40, {}, "of the types float, int"),
        (TEXTS, [2**70, 1] * 40, {}, r"below 2\*\*63"),
        (TEXTS, LABELS[:, None], {}, "of the types list"),
        (TEXTS, "good", {}, "one label a text"),
        (TEXTS, [], {}, "one label a text"),
        (TEXTS, LABELS, {"validation_split": -0.1}, "at least 0"),
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


KINDS = {"good": ["great", "love"], "bad": ["stale", "awful"], "late": ["slow", "waited"]}
THREE = [f"{word} {i}" for i in range(12) for words in KINDS.values() for word in words]
NAMES = [next(kind for kind, words in KINDS.items() if text.split()[0] in words) for text in THREE]


@pytest.fixture(scope="module", params=["bag", "lstm"])
def of_three(request):
    classifier = make(request.param)
    settings = {"epochs": 60, "patience": None, "validation_split": 0.0, "progress": False}
    classifier.fit(THREE, NAMES, **settings)
    return classifier


def test_three_classes_have_a_column_each_in_the_order_of_their_names(of_three):
    assert of_three.classes_.tolist() == ["bad", "good", "late"]
    words = ["stale", "love", "waited"]
    probabilities = of_three.predict_proba(words)
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 2]
    assert of_three.predict(words).tolist() == ["bad", "good", "late"]
    assert of_three.score(THREE, NAMES) == 1


def test_three_classes_come_back_from_a_folder(of_three, tmp_path):
    of_three.save(tmp_path)
    again = load(tmp_path)
    assert again.classes_.tolist() == of_three.classes_.tolist()
    np.testing.assert_array_equal(again.predict_proba(NEW), of_three.predict_proba(NEW))
    np.testing.assert_array_equal(again.predict(THREE), of_three.predict(THREE))


@pytest.fixture(scope="module")
def by_number():
    classifier = make()
    fit(classifier, epochs=4)
    return classifier


@pytest.mark.parametrize("names", [("", "bad"), (-3, 7), (False, True), ("很好", "很差")])
def test_labels_of_any_names_come_back_and_the_model_is_the_same(by_number, names, tmp_path):
    by_name = make()
    by_name.fit(TEXTS, [names[label] for label in LABELS], epochs=4, progress=False)
    assert by_name.classes_.tolist() == list(names)
    np.testing.assert_array_equal(by_name.predict_proba(NEW), by_number.predict_proba(NEW))
    expected = [names[label] for label in by_number.predict(TEXTS)]
    assert by_name.predict(TEXTS).tolist() == expected
    by_name.save(tmp_path)
    assert load(tmp_path).predict(TEXTS).tolist() == expected


@pytest.mark.parametrize("kind", ["int8", "uint16", "float64", "bool"])
def test_labels_of_any_array_are_whole_numbers_to_the_classifier(kind):
    classifier = make()
    classifier.fit(TEXTS, LABELS.astype(kind), epochs=1, progress=False)
    assert classifier.classes_.tolist() == [0, 1]
    assert set(classifier.predict(TEXTS).tolist()) <= {0, 1}


def test_a_score_is_the_share_of_right_labels(trained):
    wrong = LABELS.copy()
    wrong[:20] = 1 - wrong[:20]
    assert trained.score(TEXTS, LABELS) == 1
    assert trained.score(TEXTS, wrong) == 0.75


def test_a_threshold_decides_between_two_and_equality_counts_as_the_second():
    classifier = make()
    fit(classifier, epochs=3)
    scores = np.sort(classifier.predict_proba(TEXTS)[:, 1].astype(np.float64))
    for threshold in (0.0, scores[0], scores[30], scores[-1], np.nextafter(scores[-1], 2), 1.01):
        classifier.set_params(threshold=float(threshold))
        expected = classifier.predict_proba(TEXTS)[:, 1].astype(np.float64) >= threshold
        np.testing.assert_array_equal(classifier.predict(TEXTS), expected)
        assert classifier.score(TEXTS, expected.astype(int)) == 1
    assert not classifier.predict(TEXTS).any()


@pytest.mark.parametrize(("miss", "false_alarm"), [(9, 1), (1, 9), (1, 1), (0, 1)])
def test_the_threshold_that_is_worth_most_flags_what_its_value_was_computed_for(miss, false_alarm):
    from companion.economics import threshold_value

    classifier, events = make(), np.random.default_rng(0).permutation(LABELS)
    fit(classifier, epochs=3)
    scores, volume = classifier.predict_proba(TEXTS)[:, 1], len(events)
    costs = {"cost_miss_usd": miss, "cost_false_alarm_usd": false_alarm, "volume": volume}
    best = threshold_value(events, scores, **costs)
    flagged = classifier.set_params(threshold=best.best_threshold).predict(TEXTS)
    cost = miss * (events & (1 - flagged)).sum() + false_alarm * ((1 - events) & flagged).sum()
    usual = min(miss * events.sum(), false_alarm * (1 - events).sum())
    assert usual - cost == pytest.approx(best.best_value_usd)


def test_a_threshold_travels_with_the_model(tmp_path):
    classifier = make(threshold=0.125)
    fit(classifier, epochs=1)
    classifier.save(tmp_path)
    again = load(tmp_path)
    assert again.threshold == 0.125
    np.testing.assert_array_equal(again.predict(TEXTS), classifier.predict(TEXTS))


def test_a_threshold_between_three_is_refused_wherever_it_would_count(of_three, tmp_path):
    with pytest.raises(ValueError, match="3 classes: it decides between two"):
        make(threshold=0.4).fit(THREE, NAMES, progress=False)
    of_three.save(tmp_path)
    of_three.set_params(threshold=0.4)
    try:
        for use in (of_three.predict, lambda texts: of_three.save(tmp_path)):
            with pytest.raises(ValueError, match="3 classes: it decides between two"):
                use(["love"])
    finally:
        of_three.set_params(threshold=0.5)
    assert load(tmp_path).predict(["love"]).tolist() == ["good"]


@pytest.mark.parametrize(
    "settings",
    [
        {"vocabulary_size": 2},
        {"vocabulary_size": 10**9},
        {"vocabulary_size": 50.0},
        {"sequence_length": 0},
        {"sequence_length": 2 * 10**9},
        {"embedding_dim": 0},
        {"hidden_dim": True},
        {"dropout": 1},
        {"dropout": -0.1},
        {"dropout": float("nan")},
        {"seed": -1},
        {"seed": None},
        {"threshold": 1.02},
        {"threshold": -0.01},
        {"threshold": float("nan")},
        {"threshold": "0.5"},
        {"mask_zero": "no"},
        {"split": "sentence"},
        {"architecture": "gru"},
    ],
)
def test_an_impossible_parameter_is_refused_when_made_and_when_set(settings):
    ((name, _),) = settings.items()
    with pytest.raises(ValueError, match=name):
        make(**settings)
    classifier = make().set_params(**settings)
    with pytest.raises(ValueError, match=name):
        fit(classifier)


def test_scikit_learn_clones_it_with_its_parameters_and_without_what_it_learnt(trained):
    from sklearn.base import clone, is_classifier
    from sklearn.utils.validation import check_is_fitted

    copy = clone(trained.set_params(seed=0))
    assert is_classifier(copy)
    assert copy.get_params() == trained.get_params() == copy.settings
    check_is_fitted(trained)
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(copy)
    assert copy.set_params(dropout=0.5).get_params()["dropout"] == 0.5
    with pytest.raises(ValueError, match="nonsense"):
        copy.set_params(nonsense=1)


FIT = {"epochs": 12, "patience": None, "validation_split": 0.0, "progress": False}


@pytest.mark.slow
@pytest.mark.parametrize(("texts", "labels"), [(THREE, NAMES), (TEXTS, LABELS)])
def test_scikit_learn_validates_it_across_folds(texts, labels):
    from sklearn.model_selection import cross_val_predict, cross_val_score

    order = np.random.default_rng(0).permutation(len(texts))
    texts, labels = np.array(texts)[order], np.array(labels)[order]
    settings = {"cv": 2, "params": {**FIT, "epochs": 40}}
    scores = cross_val_score(make(), texts, labels, **settings, error_score="raise")
    assert scores.min() > 0.9  # a share of a third or a half is chance
    by_class = cross_val_predict(make(), texts, labels, **settings, method="predict_proba")
    assert by_class.shape == (len(texts), len(np.unique(labels)))
    assert np.mean(np.unique(labels)[by_class.argmax(axis=1)] == labels) > 0.9


@pytest.mark.slow
def test_scikit_learn_searches_its_parameters():
    from sklearn.model_selection import GridSearchCV

    names = np.where(LABELS, "good", "bad")
    search = GridSearchCV(make(), {"threshold": [0.5, 1.0], "embedding_dim": np.array([8])}, cv=2)
    search.fit(TEXTS, names, **{**FIT, "epochs": 40})
    assert search.best_params_ == {"threshold": 0.5, "embedding_dim": 8}
    assert search.best_score_ == 1
    assert search.cv_results_["mean_test_score"][1] == 0.5  # nothing reaches a threshold of 1
    assert search.predict(["love", "awful"]).tolist() == ["good", "bad"]


def change(folder, edit):
    config = json.loads((folder / "config.json").read_bytes())
    edit(config["settings"])
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def set_to(**parameters):
    return lambda folder: change(folder, lambda s: s["parameters"].update(parameters))


def name_classes(*classes):
    return lambda folder: change(folder, lambda s: s.update(classes=list(classes)))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (set_to(embedding_dim=9), "numbers, and the settings need"),
        (set_to(vocabulary_size=51), "numbers, and the settings need"),
        (set_to(vocabulary_size=10**11), "vocabulary_size is 100000000000"),
        (set_to(vocabulary_size=[50]), "vocabulary_size is"),
        (set_to(sequence_length=2 * 10**9), "sequence_length is 2000000000"),
        (set_to(hidden_dim=10**12), "hidden_dim is 1000000000000"),
        (set_to(embedding_dim="8"), "embedding_dim is '8'"),
        (set_to(architecture="lstm"), "numbers, and the settings need"),
        (set_to(architecture=None), "'lstm' or 'bag'"),
        (set_to(layers=3), "layers"),
        (set_to(threshold=2), "threshold is 2"),
        (name_classes(0), "at least two kinds"),
        (name_classes(1, 0), "not sorted"),
        (name_classes(0, 0, 1), "twice"),
        (name_classes(0, 1, 2), "numbers, and the settings need"),
        (name_classes(0, "1"), "of the types int, str"),
        (lambda f: change(f, lambda s: s.pop("classes")), "'classes' is missing"),
        (lambda f: change(f, lambda s: s.update(parameters=[])), "no usable text classifier"),
    ],
)
def test_settings_of_another_model_are_refused_with_what_to_do(folder, damage, said):
    damage(folder)
    with pytest.raises(ValueError, match=said) as error:
        load(folder)
    assert "Train it with TextClassifier.fit" in str(error.value)


@pytest.mark.parametrize("vocabulary", ["", "[1]", "null", '["a", "a"]', "[[]]", '{"a": 1, "b'])
def test_a_vocabulary_that_is_none_is_refused(folder, vocabulary):
    from tests.package.tasks.test_folder import forge

    forge(folder, "vocabulary.json", vocabulary.encode())
    with pytest.raises(ValueError, match="no usable text classifier"):
        load(folder)


@pytest.mark.parametrize("architecture", ["bag", "lstm"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_weights_in_another_order_are_refused(architecture, num_classes, tmp_path):
    from companion.tasks.folder import read_folder, write_folder

    classifier = make(architecture)
    classifier.fit(THREE, np.arange(len(THREE)) % num_classes, epochs=1, progress=False)
    classifier.save(tmp_path)
    total = sum(weight.size for weight in classifier.model.get_weights())
    saved = read_folder(
        tmp_path, "text-classifier", files=["vocabulary.json"], count=lambda settings: total
    )
    arrays = {name: array.T.copy() for name, array in saved.arrays.items()}
    write_folder(tmp_path, "text-classifier", saved.settings, arrays=arrays, files=saved.files)
    with pytest.raises(ValueError, match="the weights have the shapes"):
        load(tmp_path)


def test_too_few_texts_to_hold_any_out_are_refused_with_what_fit_takes():
    with pytest.raises(ValueError, match=r"larger validation_split, or patience=None"):
        make().fit(["good", "bad"], [1, 0], progress=False)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.pkl"])
def test_a_file_of_a_format_that_can_run_code_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ValueError, match="could run code"):
        load(tmp_path / name)
