from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from companion.economics import FactSheet, UnknownFactError
from companion.economics.factsheet import facts

BIBLIOGRAPHY = Path(__file__).parents[3] / "book" / "references.bib"
ENTRY: dict[str, Any] = {
    "value": 0.5,
    "unit": "fraction",
    "statement": "Half of something.",
    "source": "somebody2020something",
    "date": "2020-05",
    "mark": "V",
    "review_by": datetime.date(2028, 11, 23),
}


def sheet(folder: Path, key: str = "a_half", **change: Any) -> FactSheet:
    path = folder / "facts.yml"
    path.write_text(yaml.safe_dump({key: {**ENTRY, **change}}), "utf-8")
    return FactSheet(path)


def test_every_source_stands_in_the_bibliography() -> None:
    known = set(re.findall(r"^@\w+\{([^,\s]+),", BIBLIOGRAPHY.read_text("utf-8"), re.MULTILINE))
    assert {fact.source for fact in facts.values()} <= known


def test_the_bibliography_can_be_parsed_and_repeats_no_key() -> None:
    database = pytest.importorskip("pybtex.database")
    assert len(database.parse_file(BIBLIOGRAPHY).entries) > 100  # raises on a repeated key


def test_every_fact_has_one_closed_statement_without_its_own_value() -> None:
    for fact in facts.values():
        assert fact.statement.endswith("."), fact.key
        if isinstance(fact.value, float):
            assert f"{fact.value:g}" not in fact.statement, fact.key


def test_intervals_are_the_right_way_round() -> None:
    lows = [key for key in facts if key.endswith("_low") or "_low_" in key]
    assert lows
    for key in lows:
        assert facts[key].value < facts[key.replace("_low", "_high")].value, key


def test_published_totals_agree_with_their_parts() -> None:
    parts = ("pretraining", "context", "post_training")
    hours = sum(facts[f"deepseek_v3_{part}_gpu_hours"].value for part in parts)
    assert hours == facts["deepseek_v3_total_gpu_hours"].value
    cost = hours * facts["deepseek_v3_assumed_gpu_hour_usd"].value
    assert cost == facts["deepseek_v3_cost_usd"].value
    for family, sizes in (("llama2", ("7b", "13b", "70b")), ("llama31", ("8b", "70b", "405b"))):
        total = sum(facts[f"{family}_{size}_emissions_tonnes"].value for size in sizes)
        expected = facts[f"{family}_total_emissions_tonnes"].value
        assert total == pytest.approx(expected, rel=0.3 if family == "llama2" else 0.001)


@pytest.mark.parametrize(("mark", "reported"), [("V", False), ("V2", True), ("M", True)])
def test_only_what_was_seen_in_its_source_is_not_reported(
    mark: str, reported: bool, tmp_path: Path
) -> None:
    assert sheet(tmp_path, mark=mark)["a_half"].reported is reported


def test_a_format_applies_to_the_value(tmp_path: Path) -> None:
    assert f"{sheet(tmp_path)['a_half']:.0%}" == "50%"
    day = sheet(tmp_path, value=datetime.date(2024, 8, 1))["a_half"]
    assert f"{day:%d.%m.%Y}" == "01.08.2024"


def test_an_unknown_key_names_those_spelled_alike() -> None:
    with pytest.raises(UnknownFactError, match=r"Spelled alike: .*imdb_lstm_accuracy") as caught:
        facts["imdb_ltsm_acuracy"]
    assert isinstance(caught.value, KeyError)
    assert str(caught.value).startswith("There is no fact 'imdb_ltsm_acuracy'.")


def test_a_review_date_that_has_passed_is_listed_the_day_after(tmp_path: Path) -> None:
    facts_of_one = sheet(tmp_path)
    day = ENTRY["review_by"]
    assert facts_of_one.overdue(day) == []
    assert facts_of_one.overdue(day + datetime.timedelta(days=1)) == [facts_of_one["a_half"]]


def test_prices_are_to_be_looked_up_again_before_other_facts() -> None:
    late = facts.overdue(datetime.date(2027, 3, 1))
    assert late
    assert {"price" in fact.key or fact.key.endswith("_usd") for fact in late} == {True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mark": "C"}, "mark 'C' is unknown"),
        ({"value": True}, "value must be a number, a text or a date, but is True"),
        ({"value": None}, "value must be"),
        ({"value": "3.1e23"}, r"write a number as 12.5 or 3.14e\+23"),
        ({"unit": ""}, "unit must be a text"),
        ({"source": 7}, "source must be a text, but is 7"),
        ({"date": "May 2020"}, "date must be a year"),
        ({"review_by": "soon"}, "review_by must be a day"),
        ({"colour": "red"}, "the fields must be value, unit"),
        ({"key": "Half"}, "small letters"),
    ],
)
def test_a_broken_rule_is_named_with_its_fact(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=rf"facts.yml, .*{message}"):
        len(sheet(tmp_path, **change))


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "facts.yml").write_text("one: {value: 1}\none: {value: 2}\n")
    with pytest.raises(ValueError, match=r"\['one'\] stands there twice"):
        len(FactSheet(tmp_path / "facts.yml"))
