"""What depends on a column, and what differs, over small graphs."""

from __future__ import annotations

import pytest

from data_platform.column_lineage import ColumnOf
from data_platform.errors import ConfigurationError
from data_platform.impact.difference import difference
from data_platform.impact.downstream import downstream
from data_platform.impact.graph import Dependent, Graph, Relation
from data_platform.impact.words import (
    LISTED_MAX,
    difference_fields,
    difference_sections,
    impact_sections,
    markdown,
)


def column(text: str) -> ColumnOf:
    schema, table, name = text.split(".")
    return ColumnOf(schema, table, name)


def model(name: str, reads: str, rows: list[str] | None = None, **values: list[str] | None) -> Relation:
    schema, table = name.split(".")
    return Relation(
        schema,
        table,
        "model",
        f"{schema}/{table}",
        tuple(values),
        values={key: None if one is None else tuple(map(column, one)) for key, one in values.items()},
        rows=frozenset(map(column, rows or ())),
        reads=frozenset((one.split(".")[0], one.split(".")[1]) for one in reads.split()),
        definitions={"": name, **{key: str(one) for key, one in values.items()}},
    )


RAW = Relation(
    "raw_shop", "orders", "raw", "raw/shop/orders", ("id", "revenue", "status"), ("shop.orders",),
    definitions={"id": "keep", "revenue": "keep", "status": "keep"},
)  # fmt: skip
STAGING = model(
    "staging.orders", "raw_shop.orders",
    id=["raw_shop.orders.id"], amount=["raw_shop.orders.revenue"], open=["raw_shop.orders.status"],
)  # fmt: skip
DAILY = model("marts.daily", "staging.orders", ["staging.orders.open"], total=["staging.orders.amount"])
ROLLED = model("marts.rolled", "marts.daily", days=[])
BLIND = model("marts.blind", "staging.orders", what=None)
AFTER_BLIND = model("marts.after_blind", "marts.blind", x=["marts.blind.what"])
CHECK = Dependent("check", "raw/shop/orders: revenue_gte_0", frozenset({column("raw_shop.orders.revenue")}))
TEST = Dependent("dbt test", "daily_adds_up", whole=frozenset({("marts", "daily")}))
UNIQUE = Dependent("dbt test", "unique_days", frozenset({column("marts.rolled.days")}))
BOARD = Dependent("dashboard", "dashboard: Sales", whole=frozenset({("marts", "rolled")}))


def graph(*relations: Relation, dependents: tuple[Dependent, ...] = ()) -> Graph:
    return Graph({one.key: one for one in relations}, dependents)


WHOLE = graph(RAW, STAGING, DAILY, ROLLED, dependents=(CHECK, TEST, UNIQUE, BOARD))


def test_values_flow_along_the_columns_and_no_further() -> None:
    found = downstream(WHOLE, [column("raw_shop.orders.revenue")])
    assert found.values == {
        column("staging.orders.amount"): (column("raw_shop.orders.revenue"),),
        column("marts.daily.total"): (column("staging.orders.amount"),),
    }
    assert found.rows == {} and found.unclear == ()
    assert [(one.name, how) for one, how in found.dependents] == [(CHECK.name, "values"), (TEST.name, "values")]  # fmt: skip


def test_a_column_that_chooses_rows_reaches_all_that_reads_these_rows() -> None:
    found = downstream(WHOLE, [column("raw_shop.orders.status")])
    assert list(found.values) == [column("staging.orders.open")]
    assert found.rows == {
        ("marts", "daily"): ("staging.orders.open",),
        ("marts", "rolled"): ("rows of marts.daily",),
    }
    assert [(one.name, how) for one, how in found.dependents] == [
        (TEST.name, "rows"), (UNIQUE.name, "rows"), (BOARD.name, "rows"),
    ]  # fmt: skip


def test_what_cannot_be_followed_is_said_to_depend_perhaps() -> None:
    leaning = Dependent("check", "x", frozenset({column("marts.after_blind.x")}))
    found = downstream(
        graph(RAW, STAGING, BLIND, AFTER_BLIND, dependents=(leaning,)), [column("raw_shop.orders.id")]
    )
    assert found.unclear == (("marts", "blind"), ("marts", "after_blind"))
    assert found.dependents == ((leaning, "perhaps"),)


def test_nothing_depends_on_a_column_that_nothing_reads() -> None:
    found = downstream(WHOLE, [column("staging.orders.id")])
    assert impact_sections(found) == []


@pytest.mark.parametrize(
    "target, expected",
    [
        ("shop.orders", ("raw_shop.orders", None)),
        ("raw_shop.orders", ("raw_shop.orders", None)),
        ("shop.orders.REVENUE", ("raw_shop.orders", "revenue")),
        ("marts.daily.total", ("marts.daily", "total")),
    ],
)
def test_a_table_or_a_column_is_found_by_each_of_its_names(
    target: str, expected: tuple[str, str | None]
) -> None:
    relation, name = WHOLE.find(target)
    assert (relation.label, name) == expected


@pytest.mark.parametrize(
    "target, said",
    [
        ("shop.order", "Did you mean shop.orders"),
        ("marts.dayly.total", "Did you mean marts.daily"),
        ("shop.orders.revenu", "Did you mean revenue"),
        ("shop.orders.x", "Its columns: id, revenue, status"),
        ("orders", "Name a table of a source"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(target: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        WHOLE.find(target)


def test_a_graph_differs_in_nothing_from_itself() -> None:
    found = difference(WHOLE, WHOLE)
    assert not found and found.impact is None
    assert difference_sections(found) == []
    assert "Nothing changes" in markdown("What changes", [])


def test_each_kind_of_change_is_named_and_what_depended_on_it() -> None:
    tripled = model("marts.daily", "staging.orders", total=["staging.orders.id"])
    fresh = model("marts.fresh", "marts.daily", n=[])
    strict = Dependent("check", CHECK.name, CHECK.on, definition="error")
    after = graph(RAW, STAGING, tripled, fresh, dependents=(strict, BOARD))
    found = difference(WHOLE, after)
    assert found.assets.added == ("marts/fresh",) and found.assets.removed == ("marts/rolled",)
    assert found.columns.changed == ("marts.daily.total",)
    assert found.checks.removed == ("daily_adds_up", "unique_days") and found.checks.changed == (CHECK.name,)
    assert not found.exports and not found.dashboards
    assert found.impact is not None
    assert [one.name for one, _ in found.impact.dependents] == [TEST.name, UNIQUE.name, BOARD.name]
    assert difference_fields(found)["columns"]["changed"] == ("marts.daily.total",)


def test_a_treatment_that_changes_changes_the_column() -> None:
    masked = Relation(
        RAW.schema, RAW.name, "raw", RAW.asset, RAW.columns, RAW.aliases,
        definitions={"id": "keep", "revenue": "redact", "status": "keep"},
    )  # fmt: skip
    found = difference(WHOLE, graph(masked, STAGING, DAILY, ROLLED, dependents=WHOLE.dependents))
    assert found.columns.changed == ("raw_shop.orders.revenue",)
    assert found.impact is not None and column("marts.daily.total") in found.impact.values


def test_a_comment_is_bounded_and_hostile_names_end_no_code() -> None:
    lines = [f"column_{number}" for number in range(LISTED_MAX + 7)]
    text = markdown("What changes", [("Columns", lines), ("Checks", ["a`b<script>"])])
    assert "and 7 more" in text and "column_99" in text and "column_100" not in text
    assert "`a'b<script>`" in text
