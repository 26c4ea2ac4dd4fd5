"""What the page on opportunities claims: conversions, the value model's algebra, its explorer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import yaml
from hypothesis import given
from hypothesis import strategies as st

import companion
from companion.economics import Range, load_businesses, simulate_value
from companion.economics.factsheet import facts
from tools.cells import run_cells
from tools.notebooks import ROOT, Notebook

MINE = {"hours": 20_000, "effect": 0.2, "adoption": 0.6, "hourly_cost_usd": 30}
MINE |= {"upkeep_usd": 20_000, "switch_cost_usd": 30_000}


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names = ["convert", "check-convert", "inputs", "by-hand", "explorer-inputs"]
    names += ["explorer-function"]
    given = {"np": np, "companion": companion, "facts": facts, "Range": Range, "replace": replace}
    given["rng"] = np.random.default_rng(0)
    return run_cells("01_background/opportunities", *names, **given)


@given(gain=st.floats(0.001, 100))
def test_the_time_saved_is_less_than_the_gain_and_never_all(
    page: dict[str, Any], gain: float
) -> None:
    assert 0 < page["time_saved"](gain) < min(gain, 1)


@given(gain=st.floats(-0.9, 10))
def test_saved_time_turns_back_into_the_gain(page: dict[str, Any], gain: float) -> None:
    assert 1 / (1 - page["time_saved"](gain)) - 1 == pytest.approx(gain, abs=1e-9)


def test_the_break_even_volume_solves_the_equation() -> None:
    hours, s, a, e, rho, w, tau, upkeep, switch, years = sympy.symbols("H s a e r w t U S T")
    yearly = hours * s * a * (e * rho * w - tau) - upkeep - switch / years
    volume = (upkeep + switch / years) / (s * a * (e * rho * w - tau))
    assert sympy.simplify(yearly.subs(hours, volume)) == 0
    effect = ((upkeep + switch / years) / (hours * s * a) + tau) / (rho * w)
    assert sympy.simplify(yearly.subs(e, effect)) == 0  # the exercise's solution


def test_the_triangle_has_the_area_that_its_formula_inverts() -> None:
    u, p, x = sympy.symbols("u p x", positive=True)
    rising = sympy.integrate(2 * x / p, (x, 0, sympy.sqrt(u * p)))
    assert sympy.simplify(rising - u) == 0
    falling = sympy.integrate(2 * (1 - x) / (1 - p), (x, 1 - sympy.sqrt((1 - u) * (1 - p)), 1))
    assert sympy.simplify(falling - (1 - u)) == 0


def test_the_pages_own_return_is_the_packages(page: dict[str, Any]) -> None:
    run = simulate_value(load_businesses()["support desk"])
    np.testing.assert_allclose(page["returns"], run.return_usd, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hours": 0}, "hours must be a Range from 1"),
        ({"hours": -20_000}, "hours must be a Range from 1"),
        ({"hourly_cost_usd": -1}, "hourly_cost_usd must be a Range from 0"),
        ({"upkeep_usd": -1}, "upkeep_usd must be a Range from 0"),
        ({"adoption": 1.2}, "adoption must be a Range from 0 to 1"),
        ({"effect": 1e9}, "effect must be a Range from -10 to 1"),
        ({"effect": float("nan")}, "effect must be a number or .* but is nan"),
        ({"effect": None}, "effect must be a number or .* but is None"),
        ({"hours": "x"}, "hours must be a number or .* but is 'x'"),
        ({"hours": (1, 2)}, r"hours must be a number or .* but is \(1, 2\)"),
        ({"hours": (3, 2, 1)}, r"hours must be a number or .* but is \(3, 2, 1\)"),
        ({"fixed_usd": 5}, "no 'fixed_usd'; choose from hours, task_share"),
    ],
)
def test_the_explorer_names_an_impossible_figure(
    page: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        page["my_return"](**{**MINE, **change})


def test_a_slower_team_finds_no_volume_that_pays(page: dict[str, Any]) -> None:
    state = page["my_return"](**{**MINE, "effect": -0.3})
    assert state["readouts"]["Chance of a loss"] == "100%"
    assert state["readouts"]["Half of the draws pay from"] == "no volume"


@given(hours=st.floats(1, 1e9), effect=st.floats(-1, 1))
def test_without_work_the_explorer_loses_just_the_fixed_costs(
    page: dict[str, Any], hours: float, effect: float
) -> None:
    rows = page["my_return"](**{**MINE, "hours": hours, "effect": effect})["rows"]
    assert rows[0]["low"] == rows[0]["high"] == -20_000 - 30_000 / 3
    assert all(row["low"] <= row["median"] <= row["high"] for row in rows)


def test_what_the_reader_leaves_out_is_the_desks(page: dict[str, Any]) -> None:
    run = simulate_value(load_businesses()["support desk"], num_samples=2000)
    low, median, high = np.percentile(run.return_usd, [5, 50, 95])
    row = page["my_return"]()["rows"][1]
    assert (row["low"], row["median"], row["high"]) == pytest.approx((low, median, high))


def test_a_figure_as_a_range_is_less_certain_than_its_middle(page: dict[str, Any]) -> None:
    exact, vague = (
        page["my_return"](**{**MINE, "hourly_cost_usd": given})["rows"][1]
        for given in (30, (15, 30, 45))
    )
    assert vague["low"] < exact["low"] < exact["high"] < vague["high"]


def test_the_prose_names_the_models_and_the_tokens_that_the_businesses_are_costed_with() -> None:
    words = {4_000: "four", 6_000: "six", 8_000: "eight", 20_000: "twenty", 30_000: "thirty"}
    wanted = ("inputs-read", "three")
    notebook = Notebook(ROOT / "book/01_background/opportunities.ipynb", ROOT)
    prose = " ".join(cell.source for cell in notebook.markdown if cell.id in wanted)
    path = Path(companion.__file__).parent / "economics/businesses.yml"
    for business in yaml.safe_load(path.read_text("utf-8")).values():
        assert all(f"{words[number]} thousand" in prose for number in business["tokens_per_hour"])
        for name in business["models"]:
            assert f"`{name}`" in prose
