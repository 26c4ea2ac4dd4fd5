from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import companion
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


def sheet(folder: Path, **change: Any) -> FactSheet:
    path = folder / "facts.yml"
    path.write_text(yaml.safe_dump({"a_half": {**ENTRY, **change}}), "utf-8")
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
    with pytest.raises(UnknownFactError) as caught:
        facts["gpt_parameters"]
    near = str(caught.value).partition("Spelled alike: ")[2].rstrip(".").split(", ")
    assert len(near) == 3
    assert all(name in facts for name in near)
    with pytest.raises(UnknownFactError, match=r"Spelled alike: none"):
        facts["%%%%"]


def test_a_review_date_that_has_passed_is_listed_the_day_after(tmp_path: Path) -> None:
    facts_of_one = sheet(tmp_path)
    day = ENTRY["review_by"]
    assert facts_of_one.overdue(day) == []
    assert facts_of_one.overdue(day + datetime.timedelta(days=1)) == [facts_of_one["a_half"]]


def test_a_price_is_to_be_looked_up_again_within_a_year_of_its_date() -> None:
    prices = [fact for fact in facts.values() if fact.model and len(fact.date) == 10]
    assert prices
    for fact in prices:
        assert (fact.review_by - datetime.date.fromisoformat(fact.date)).days <= 366, fact.key


FIELDS = {"value", "unit", "statement", "source", "date", "mark", "review_by"}


class NoKeyTwice(yaml.SafeLoader):
    """Refuse a key that stands twice, where YAML quietly keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), [key for key in keys if keys.count(key) > 1]
        return super().construct_mapping(node, deep)


def test_every_entry_of_the_file_keeps_its_rules() -> None:
    text = Path(companion.__file__).with_name("economics").joinpath("facts.yml").read_text("utf-8")
    for key, entry in yaml.load(text, NoKeyTwice).items():
        assert problems(key, entry) == [], key


def problems(key: str, entry: dict[str, Any]) -> list[str]:
    """Name the rules that an entry breaks."""
    value = entry.get("value")
    rules = {
        "key": re.fullmatch("[a-z][a-z0-9_]*", key),
        "fields": set(entry) in (FIELDS, FIELDS | {"model"}),
        "model": ("model" in entry) == key.endswith(("_input_price_usd", "_output_price_usd")),
        "value": isinstance(value, int | float | str | datetime.date)
        and not isinstance(value, bool),
        "number as text": not re.fullmatch(r"[-+]?[\d_.]+(e\d+)?", str(value))
        if isinstance(value, str)
        else True,
        "texts": all(
            isinstance(entry.get(field), str) and entry[field].strip()
            for field in ("unit", "statement", "source")
        ),
        "date": re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", str(entry.get("date"))),
        "mark": entry.get("mark") in ("V", "V2", "M"),
        "review_by": isinstance(entry.get("review_by"), datetime.date),
    }
    return [name for name, kept in rules.items() if not kept]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"mark": "C"}, "mark"),
        ({"value": True}, "value"),
        ({"value": None}, "value"),
        ({"value": "3.1e23"}, "number as text"),
        ({"unit": ""}, "texts"),
        ({"source": 7}, "texts"),
        ({"date": "May 2020"}, "date"),
        ({"review_by": "soon"}, "review_by"),
        ({"colour": "red"}, "fields"),
    ],
)
def test_the_rules_can_be_broken(change: dict[str, Any], rule: str) -> None:
    assert problems("a_half", ENTRY) == []
    assert problems("a_half", ENTRY | change) == [rule]


def test_only_a_number_is_a_number(tmp_path: Path) -> None:
    assert facts["gpt3_parameters"].number == 175e9
    assert isinstance(facts["gpt3_parameters"].number, float)
    for value in ("many", datetime.date(2024, 8, 1)):
        with pytest.raises(TypeError, match="'a_half' is no number"):
            _ = sheet(tmp_path, value=value)["a_half"].number


def test_a_sheet_says_how_many_facts_it_has(tmp_path: Path) -> None:
    assert repr(sheet(tmp_path)) == "<1 facts; list(facts) names them>"
    assert list(sheet(tmp_path)) == ["a_half"]


def test_the_longest_overdue_fact_is_named_first(tmp_path: Path) -> None:
    path = tmp_path / "facts.yml"
    days = {"late": 3, "later": 2, "in_time": 9}
    entries = {k: {**ENTRY, "review_by": datetime.date(2028, 1, d)} for k, d in days.items()}
    path.write_text(yaml.safe_dump(entries), "utf-8")
    late = FactSheet(path).overdue(datetime.date(2028, 1, 9))
    assert [fact.key for fact in late] == ["later", "late"]
