"""A progress bar shows work in progress and leaves nothing behind."""

from __future__ import annotations

import io
import sys
from contextlib import closing

import pytest

from companion.training.progress import Bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_how_much_is_done_and_then_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with closing(Bar(4)) as bar:
        bar.update(1, "a quarter")
        bar.update(4, "all")
    quarter, whole, *rest = sys.stderr.getvalue().split("\r")[1:]
    assert quarter == "[" + "#" * 7 + "." * 23 + "] a quarter"
    assert whole.rstrip() == "[" + "#" * 30 + "] all"
    assert len(whole) == len(quarter)  # nothing of the longer line stays
    assert "".join(rest).strip() == ""


def test_a_fast_loop_does_not_flood_the_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with closing(Bar(100_000)) as bar:
        for step in range(1000):
            bar.update(step, "")
    assert sys.stderr.getvalue().count("[") < 50


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), False), (io.StringIO(), True)])
def test_a_log_file_and_a_silent_run_get_nothing(monkeypatch, stream, shown):
    monkeypatch.setattr(sys, "stderr", stream)
    with closing(Bar(1, shown=shown)) as bar:
        bar.update(1, "all")
    assert stream.getvalue() == ""


@pytest.mark.slow
def test_a_notebook_gets_a_widget_alone_which_a_refresh_can_take_out():
    pytest.importorskip("ipywidgets")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    code = "from companion.progress import Bar\nbar = Bar(2)\nbar.update(1, 'half')\nbar.close()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert list(output.data) == ["application/vnd.jupyter.widget-view+json"]
