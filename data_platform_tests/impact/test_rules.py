"""The rules of tables and models lean on the columns and the tables that they name."""

from __future__ import annotations

from typing import Any

import pytest

from data_platform.column_lineage import ColumnOf
from data_platform.impact.rules import of_checks, of_rules
from data_platform.quality.anomalies import AnomaliesSettings
from data_platform.quality.rules import parse_rule

OWN = ("marts", "facts")


@pytest.mark.parametrize(
    ("text", "on", "whole"),
    [
        ("paid >= 0", {"marts.facts.paid"}, set()),
        ({"rule": "paid >= 0", "where": "kind = 'x'"}, {"marts.facts.paid", "marts.facts.kind"}, set()),
        ("row_count() >= 1", set(), {OWN}),
        ("row_count() >= 1 per day", {"marts.facts.day"}, set()),
        ("user_id references user_dim.id", {"marts.facts.user_id", "marts.user_dim.id"}, set()),
        ("user_id references shop/users.id", {"marts.facts.user_id", "raw_shop.users.id"}, set()),
        (
            {"query": "SELECT 1 FROM {table} JOIN raw_shop.users u USING (id)"},
            set(),
            {OWN, ("raw_shop", "users")},
        ),
        ("sum(paid) equals query 'SELECT 1 FROM Marts.Other'", {"marts.facts.paid"}, {("marts", "other")}),
    ],
)
def test_what_a_rule_leans_on(text: Any, on: set[str], whole: set[tuple[str, str]]) -> None:
    (found,) = of_rules(OWN, "marts/facts", [parse_rule(text)], "day")
    assert {".".join((one.schema, one.table, one.column)) for one in found.on} == on
    assert found.whole == whole
    assert found.name == f"marts/facts: {parse_rule(text).name}"


def test_a_rule_that_changes_is_another_one() -> None:
    one, other = of_rules(
        OWN, "marts/facts", [parse_rule("paid >= 0"), parse_rule({"rule": "paid >= 0", "severity": "warn"})]
    )
    assert one.definition != other.definition
    assert ColumnOf("marts", "facts", "paid") in one.on


def test_a_check_leans_on_the_columns_that_its_settings_name() -> None:
    settings = AnomaliesSettings(by="day", split_by="country", computed={"net": "paid - tax"})
    (found,) = of_checks(OWN, "marts/facts", {"anomalies": settings})
    assert {one.column for one in found.on} == {"day", "country", "paid", "tax"} and not found.whole
    (bare,) = of_checks(OWN, "marts/facts", {"anomalies": AnomaliesSettings()})
    assert bare.name == "marts/facts: anomalies" and bare.whole == {OWN} and not bare.on
    assert bare.definition != found.definition
