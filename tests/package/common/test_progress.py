"""A progress bar shows work in progress and leaves nothing behind."""

from __future__ import annotations

import io
import itertools
import sys
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion._common.progress import Bar, check_progress


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


def test_a_fast_loop_shows_ten_steps_a_second_and_the_last(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) / 1000)
    with closing(Bar(1001)) as bar:
        for step in range(1002):
            bar.update(step, str(step))
    shown = sys.stderr.getvalue().count("[")
    assert 10 <= shown <= 12
    assert f"[{'#' * 30}] 1001" in sys.stderr.getvalue()


@given(total=st.integers(0, 10**12), done=st.integers(0, 10**13))
def test_any_amount_of_work_fills_a_bar_of_one_width(total, done):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal())
        Bar(total).update(done, "")
        drawn = sys.stderr.getvalue()[2:-2]
    assert len(drawn) == 30
    assert drawn.lstrip("#").lstrip(".") == ""
    assert (drawn.count("#") == 30) == (done >= total)


def test_work_of_unknown_length_shows_what_is_done_without_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with closing(Bar(None)) as bar:
        bar.update(7, "step 7")
    assert sys.stderr.getvalue().split("\r")[1] == "step 7"


def test_a_negative_amount_of_work_is_refused():
    with pytest.raises(ValueError, match="total=-1"):
        Bar(-1)


@pytest.mark.parametrize(("progress", "shown"), [("auto", True), (True, True), (False, False)])
def test_progress_is_shown_unless_it_is_switched_off(progress, shown):
    assert check_progress(progress) is shown


@pytest.mark.parametrize("progress", ["off", "on", "", None, 0, 1, [], {}])
def test_other_words_for_progress_are_refused_with_those_that_are_allowed(progress):
    with pytest.raises(ValueError, match=r"progress=.*'auto' or True.*False"):
        check_progress(progress)


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), False), (io.StringIO(), True)])
def test_a_log_file_and_a_silent_run_get_nothing(monkeypatch, stream, shown):
    monkeypatch.setattr(sys, "stderr", stream)
    with closing(Bar(1, shown=shown)) as bar:
        bar.update(1, "all")
    assert stream.getvalue() == ""


@pytest.mark.slow
@pytest.mark.parametrize("total", [2, 0, None])
def test_a_notebook_gets_a_widget_alone_which_a_refresh_can_take_out(total):
    pytest.importorskip("ipywidgets")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    code = f"from companion._common.progress import Bar\nbar = Bar({total})\n"
    code += "bar.update(1, 'half')\nbar.close()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert list(output.data) == ["application/vnd.jupyter.widget-view+json"]
