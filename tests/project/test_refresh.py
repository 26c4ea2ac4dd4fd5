"""The refresh tool stores what every machine gives, and nothing that changes from run to run."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.project.sample import code, display, markdown, write_notebook
from tools.notebooks import Node

pytestmark = pytest.mark.slow

DISPLAY = """from IPython.display import display
view = {"application/vnd.jupyter.widget-view+json": {"model_id": "5f"}}
display(view, raw=True)
display(view | {"image/png": "iVBORw0KGgo=", "text/plain": "A line."}, raw=True)"""


@pytest.fixture(scope="module")
def refresh() -> Any:
    """Imported here, since its import takes seconds that the fast tests do not have."""
    from tools import refresh

    return refresh


def build_book(root: Path, source: str = "share = 0.785") -> Path:
    """A book of one notebook that was never run, and one page that quotes it."""
    page = root / "book/04_practice/page.ipynb"
    index = "# Course\n\nIt is 1 %<!--= 04_practice/page: share:.0% --> right, and `5`.\n"
    page.parent.mkdir(parents=True)
    (root / "_toc.yml").write_text("root: book/index\nchapters:\n- file: book/04_practice/page\n")
    (root / "book/index.md").write_text(index)
    return write_notebook(
        page,
        [
            markdown("words", "It is 1\u00a0%<!--= share:.0% --> — 逐."),
            code("lines", "print('one')\nprint('two', flush=True)\nprint('three')"),
            code("share", source, ExecuteTime={"start": 1}),
            code("show", DISPLAY, companion={"export": "book/_static/a.png"}),
        ],
    )


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory, refresh: Any) -> tuple[Path, list[str]]:
    """A book after one run, and what the tool printed."""
    root = tmp_path_factory.mktemp("book")
    build_book(root)
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *text, **_: lines.append(" ".join(text)))
        assert refresh.main([], root) == 0
    return root, lines


def stored(book: tuple[Path, list[str]]) -> Any:
    return json.loads((book[0] / "book/04_practice/page.ipynb").read_text(encoding="utf-8"))


def test_numbers_in_prose_and_quotes_are_brought_up_to_date(book: Any) -> None:
    assert stored(book)["cells"][0]["source"] == ["It is 78\u00a0%<!--= share:.0% --> — 逐."]
    assert "It is 78 %<!--= 04" in (book[0] / "book/index.md").read_text()


def test_outputs_are_stored_in_order_and_joined(book: Any) -> None:
    code = stored(book)["cells"][1:]
    assert [cell["execution_count"] for cell in code] == [1, 2, 3]
    assert [output["text"] for output in code[0]["outputs"]] == [["one\n", "two\n", "three\n"]]


def test_what_lives_only_in_the_kernel_is_not_stored(book: Any) -> None:
    notebook = stored(book)
    (shown,) = notebook["cells"][3]["outputs"]
    assert set(shown["data"]) == {"image/png", "text/plain"}
    assert notebook["cells"][2]["metadata"] == {}
    assert set(notebook["metadata"]) == {"companion", "kernelspec", "language_info"}


def test_the_running_time_is_recorded(book: Any) -> None:
    assert 1 <= stored(book)["metadata"]["companion"]["run_seconds"] < 30


def test_an_export_is_the_stored_picture(book: Any) -> None:
    exported = (book[0] / "book/_static/a.png").read_bytes()
    assert exported == base64.b64decode("iVBORw0KGgo=")


def test_the_tool_says_what_it_wrote(book: Any) -> None:
    assert "wrote book/index.md" in book[1]
    assert "wrote book/04_practice/page.ipynb" in book[1]


def test_a_second_run_changes_nothing(
    book: Any, refresh: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.running.TIME_FACTOR", float("inf"))  # however busy the machine is
    assert refresh.main(["--check"], book[0]) == 0
    assert capsys.readouterr().out == "book/04_practice/page.ipynb: unchanged\n"


def test_check_says_what_would_change_and_writes_nothing(
    tmp_path: Path, refresh: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = build_book(tmp_path).read_bytes()
    assert refresh.main(["--check"], tmp_path) == 1
    assert "would change book/04_practice/page.ipynb" in capsys.readouterr().out
    assert (tmp_path / "book/04_practice/page.ipynb").read_bytes() == before
    assert not (tmp_path / "book/_static").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("other = 1", "<!--= share:.0% -->: NameError: name 'share' is not defined"),
        ("share = float('nan')", "gives 'nan%', which is not a number"),
    ],
)
def test_a_failure_leaves_the_file_as_it_was(
    source: str, message: str, refresh: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = build_book(tmp_path, source).read_bytes()
    assert refresh.main([], tmp_path) == 1
    assert message in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "book/04_practice").iterdir()] == ["page.ipynb"]
    assert (tmp_path / "book/04_practice/page.ipynb").read_bytes() == before


def test_an_export_outside_the_project_is_refused(refresh: Any, tmp_path: Path) -> None:
    cell = code("a", "", companion={"export": "../a.png"})
    cell.outputs = [display(png="iVBORw0KGgo=")]
    with pytest.raises(refresh.RunError, match="outside the project"):
        refresh.exports(Node(cells=[cell]), tmp_path)


# What only this machine says: the old one computes with one thread, whatever this one does.
OLD = "import os\nold = os.environ.get('OPENBLAS_NUM_THREADS') == '1'\n"
MACHINE_BOUND = [
    markdown("words", "It is 1<!--= share:.3f --> and 1<!--= other:.2f -->."),
    code("old", OLD),
    code("fit", "share = 0.7812 if old else 0.7814\nprint(f'{share:.3f}')", tags=["trained"]),
    code("label", "print('dog' if old else 'cat')"),
    code("unit", "print(f'{share:.4f}')"),
    code("far", "other = 0.78 if old else 0.81\nprint(f'{other:.2f}')", tags=["trained"]),
]


@pytest.fixture
def many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)


def build_page(root: Path, cells: list[Node]) -> Path:
    (root / "_toc.yml").write_text("root: book/index\nchapters:\n- file: book/page\n")
    path = write_notebook(root / "book/page.ipynb", cells)
    (root / "book/index.md").write_text("# Course\n")
    return path


@pytest.mark.usefixtures("many_threads")
def test_what_an_old_machine_says_otherwise_is_named_and_not_stored(
    refresh: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = build_page(tmp_path, MACHINE_BOUND)
    before = page.read_bytes()
    assert refresh.main([], tmp_path) == 1
    told = capsys.readouterr().err
    assert "page.ipynb:label: 'cat', then 'dog'" in told
    assert "page.ipynb:unit: '0.7814', then '0.7812'; safe digits: 0.781" in told
    assert "page.ipynb:far: '0.81', then '0.78'; safe digits: 0.8" in told
    assert "<!--= other:.2f -->: '0.81', then '0.78'" in told
    assert ":fit:" not in told
    assert page.read_bytes() == before


@pytest.mark.usefixtures("many_threads")
def test_a_trained_digit_is_stored_and_a_narrow_margin_told(
    refresh: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [markdown("words", "It is 1<!--= share:.3f -->."), *MACHINE_BOUND[1:3]]
    source = "share = 0.7814 if old else 0.7816\nprint(f'{share:.3f}')"
    page = build_page(tmp_path, [*kept[:2], code("fit", source, tags=["trained"])])
    assert refresh.main([], tmp_path) == 0
    told = capsys.readouterr().out
    assert "page.ipynb:fit: near a rounding boundary: 0.7816 and 0.7814 print as 0.782" in told
    assert "page.ipynb:<!--= share:.3f -->: near a rounding boundary" in told
    assert "It is 0.782<!--=" in page.read_text(encoding="utf-8")


def test_a_stored_picture_stays_while_the_new_one_looks_the_same(refresh: Any) -> None:
    from tools.pictures import same_pictures

    def shown(shade: int, words: str = "Half of it is dark.") -> list[Node]:
        return [display(png=drawn(shade), text=words)]

    def drawn(shade: int) -> str:
        image, file = Image.new("L", (96, 96), "white"), io.BytesIO()
        image.paste(shade, (0, 0, 48, 96))
        image.save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()

    assert len(same_pictures("show(fig)", shown(0), shown(10))) == 1
    assert same_pictures("show(fig)", shown(0), shown(200)) == []
    assert same_pictures("show(fig)", shown(0), shown(10, "Other words.")) == []
    assert same_pictures("show(fig)", [], shown(0)) == []


def test_an_edit_made_while_the_page_ran_is_not_lost(
    refresh: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit = "page = open('page.ipynb', 'a')\npage.write(' ')\npage.close()"
    page = build_page(tmp_path, [code("edit", edit)])
    before = page.read_text()
    assert refresh.main([], tmp_path) == 1
    assert "page.ipynb: left as it was" in capsys.readouterr().err
    assert page.read_text() == before + "  "
