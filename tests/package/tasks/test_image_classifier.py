"""The picture classifier learns, takes whatever a camera writes, and comes back from its folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

pillow = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.tensorflow

SIDE = 8
rng = np.random.default_rng(0)
PICTURES = rng.uniform(0, 0.3, (60, SIDE, SIDE))
PICTURES[:20, :4] += 0.6  # bright above
PICTURES[20:40, :, :4] += 0.6  # bright on the left
NAMES = np.repeat(["above", "left", "dark"], 20)


def make(**settings):
    from companion.tasks import ImageClassifier

    return ImageClassifier(**{"side": SIDE, "hidden_dim": 16, **settings})


def load(folder):
    from companion.tasks import ImageClassifier

    return ImageClassifier.load(folder)


@pytest.fixture(scope="module")
def trained():
    classifier = make()
    classifier.fit(PICTURES, NAMES, epochs=15, progress=False)
    return classifier


@pytest.fixture
def folder(trained, tmp_path):
    trained.save(tmp_path / "saved")
    return tmp_path / "saved"


def test_it_learns_where_pictures_are_bright(trained):
    new = np.random.default_rng(1).uniform(0, 0.3, (2, SIDE, SIDE))
    new[0, :4] += 0.6
    new[1, :, :4] += 0.6
    assert trained.predict(new).tolist() == ["above", "left"]
    assert trained.classes_.tolist() == ["above", "dark", "left"]
    assert trained.score(PICTURES, NAMES) > 0.9


def test_probabilities_sum_to_one_and_do_not_depend_on_what_stands_beside(trained):
    together = trained.predict_proba(PICTURES)
    assert (together.shape, together.dtype) == ((60, 3), np.float32)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    alone = np.concatenate([trained.predict_proba(picture[None]) for picture in PICTURES[:3]])
    np.testing.assert_array_equal(alone, together[:3])


def test_whole_numbers_and_fractions_are_the_same_pictures(trained):
    whole = np.round(255 * PICTURES).astype(np.uint8)
    expected = trained.predict_proba(whole / 255.0)
    np.testing.assert_allclose(trained.predict_proba(whole), expected, atol=1e-5)
    np.testing.assert_array_equal(trained.predict_proba(list(whole)), trained.predict_proba(whole))
    np.testing.assert_array_equal(
        trained.predict_proba(whole[..., None]), trained.predict_proba(whole)
    )


def test_a_saved_classifier_predicts_the_same_to_the_last_bit(trained, folder):
    again = load(folder)
    assert again.settings == trained.settings
    np.testing.assert_array_equal(again.predict_proba(PICTURES), trained.predict_proba(PICTURES))
    assert again.predict(PICTURES).tolist() == trained.predict(PICTURES).tolist()


def test_copies_are_moved_in_training_only(tmp_path):
    classifier = make(augment=True, channels=3, dropout=0.0, seed=np.int64(3))
    coloured = np.repeat(PICTURES[..., None], 3, axis=-1)
    classifier.fit(coloured, np.arange(60) % 2 == 1, epochs=1, progress=False)
    first = classifier.predict_proba(coloured)
    np.testing.assert_array_equal(classifier.predict_proba(coloured), first)
    assert classifier.predict(coloured).dtype == bool
    classifier.save(tmp_path)
    np.testing.assert_array_equal(load(tmp_path).predict_proba(coloured), first)


def test_scikit_learn_can_clone_and_search_it(trained):
    from sklearn.base import clone

    copy = clone(trained).set_params(seed=5)
    assert copy.get_params() == {**trained.get_params(), "seed": 5}
    with pytest.raises(ValueError, match="call fit first"):
        copy.predict(PICTURES)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "1", "P", "I;16"])
def test_files_of_every_kind_are_read_by_a_grey_classifier(trained, tmp_path, mode):
    suffix = {"CMYK": "jpg"}.get(mode, "png")
    values = np.full((12, 12), 65_535 if mode == "I;16" else 255)
    image = (
        pillow.fromarray(values.astype(np.uint16))
        if mode == "I;16"
        else pillow.fromarray(values.astype(np.uint8)).convert(mode)
    )
    image.save(tmp_path / f"a.{suffix}")
    white = np.ones((1, SIDE, SIDE))
    found = trained.predict_proba([tmp_path / f"a.{suffix}"])
    np.testing.assert_allclose(found, trained.predict_proba(white), atol=0.02)


def test_a_picture_that_lies_on_its_side_is_turned(trained, tmp_path):
    upright = np.zeros((16, 16), np.uint8)
    upright[:8] = 230
    exif = pillow.Exif()
    exif[0x0112] = 6  # turn by ninety degrees clockwise to see it upright
    pillow.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    pillow.fromarray(upright).save(tmp_path / "upright.png")
    turned, straight = trained.predict_proba([tmp_path / "turned.png", tmp_path / "upright.png"])
    np.testing.assert_array_equal(turned, straight)
    assert trained.predict([tmp_path / "turned.png"]) == ["above"]


def test_files_that_are_no_pictures_are_named(trained, tmp_path):
    good, small, cut, text = (tmp_path / f"{name}.png" for name in ("good", "small", "cut", "text"))
    pillow.new("L", (64, 64)).save(good)
    pillow.new("L", (1, 1)).save(small)
    pillow.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    text.write_text("no picture")
    for path, message in ((small, "1 by 1 pixels"), (cut, "cut off"), (text, "is no picture")):
        with pytest.raises(ValueError, match=rf"{path.stem}\.png.*{message}"):
            trained.predict([good, path])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        trained.predict([tmp_path / "nowhere.png"])


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ("a.png", r"\[picture\]"),
        ([], "at least one"),
        (np.zeros((0, SIDE, SIDE)), "at least one"),
        (np.zeros((3, SIDE, SIDE + 1)), r"\(3, 8, 9\)"),
        (np.zeros((3, SIDE, SIDE, 3)), "set side and channels"),
        (np.zeros((SIDE, SIDE)), r"\(8, 8\)"),
        (np.full((1, SIDE, SIDE), np.nan), "from 0 to 1"),
        (np.full((1, SIDE, SIDE), 1.01), "from 0 to 1"),
        (np.full((1, SIDE, SIDE), 256), "from 0 to 255"),
        (np.full((1, SIDE, SIDE), "white"), "must be files"),
        ([np.zeros((SIDE, SIDE)), np.zeros((4, 4))], "of one shape"),
    ],
)
def test_what_is_no_picture_is_refused(trained, pictures, message):
    with pytest.raises(ValueError, match=message):
        trained.predict(pictures)


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (NAMES[:-1], {}, "60 pictures and 59 labels"),
        (["dark"] * 60, {}, "two kinds of pictures"),
        ([np.nan, 1.0] * 30, {}, "of the types float, int"),
        (NAMES, {"validation_split": 0}, "needs held-out data"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(labels, settings, message):
    with pytest.raises(ValueError, match=message):
        make().fit(PICTURES, labels, progress=False, **settings)


@pytest.mark.parametrize(
    "settings",
    [{"side": 4}, {"side": 28.5}, {"channels": 2}, {"augment": 1}, {"dropout": 1}, {"seed": -1}],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        make(**settings)


def test_a_damaged_or_foreign_folder_is_refused(folder, tmp_path):
    from companion.tasks import TextClassifier

    with pytest.raises(ValueError, match="holds an image classifier"):
        TextClassifier.load(folder)
    (weights,) = folder.glob("weights-*")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="is damaged"):
        load(folder)
    weights.unlink()
    with pytest.raises(ValueError, match="there is no weights"):
        load(folder)
    with pytest.raises(ValueError, match=r"no config\.json"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("parameters", "hidden_dim", 4096),
        ("parameters", "side", 10**6),
        ("parameters", "channels", True),
        ("parameters", "colour", 1),
        (None, "classes", ["left", "above", "dark"]),
        (None, "classes", ["above"]),
        (None, "classes", None),
    ],
)
def test_settings_that_do_not_fit_the_weights_are_refused(folder, part, name, value):
    config = json.loads((folder / "config.json").read_text())
    settings = config["settings"]
    (settings[part] if part else settings)[name] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="holds no usable image classifier"):
        load(folder)
