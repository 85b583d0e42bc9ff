"""Every model, test and snapshot by the real adapter of each engine, without the engine: what dbt would send is SQL of
its dialect, over columns that are there, with the types that the contracts say. Twice: an incremental run differs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from data_platform_tests.dbt.dialects import raw
from data_platform_tests.dbt.dialects.names import Names
from data_platform_tests.dbt.dialects.static import mistakes
from data_platform_tests.dbt.dialects.wire import Dbt, Wire, variables

pytestmark = pytest.mark.slow
DATABASES = {"bigquery": "project", "snowflake": "WAREHOUSE", "redshift": "warehouse"}
AGAIN = ("users_history", "daily_revenue", "user_metrics_fact")
"""What a second run sends other statements for, and one table."""


UNITS_EVERY = 4
"""Of so many unit tests each run has one, and all of them with ``--warehouse KIND``."""


class Built(NamedTuple):
    kind: str
    wire: Wire
    dbt: Dbt
    first: int
    """How many statements the first run sent."""

    def again(self, node: str) -> str:
        return ";\n".join(s.sql for s in self.wire.sent[self.first :] if s.node.endswith(f".{node}"))


@pytest.fixture(scope="module", params=DATABASES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    kind = request.param
    wire = Wire(kind, Names(kind, DATABASES[kind]))
    raw.put(wire.names)
    dbt = Dbt(wire, tmp_path_factory.mktemp(kind))
    with variables(kind):
        dbt("parse", "--no-partial-parse")
        # a unit test is its model once more, over rows that dbt writes into the statement
        units = sorted({one.name for one in dbt.manifest.unit_tests.values()})
        step = 1 if request.config.getoption("--warehouse") == kind else UNITS_EVERY
        left_out = [f"unit_test:{name}" for number, name in enumerate(units) if number % step]
        result = dbt("build", "--exclude", "test_name:not_null", "test_name:unique", *left_out)
        assert result.success, "\n".join([*wire.refused, *dbt.said])
        first = len(wire.sent)
        result = dbt(
            "build",
            "--select",
            *AGAIN,
            "--exclude-resource-type",
            "test",
            "--exclude-resource-type",
            "unit_test",
        )
        assert result.success, "\n".join([*wire.refused, *dbt.said])
        yield Built(kind, wire, dbt, first)


def test_every_model_and_snapshot_is_sent_and_stands(built: Built) -> None:
    nodes = [n for n in built.dbt.manifest.nodes.values() if n.resource_type in ("model", "snapshot")]
    assert len(nodes) > 30
    missing = [node.name for node in nodes if built.wire.names.get(node.schema, node.alias) is None]
    assert missing == []
    assert built.wire.refused == []


def test_no_statement_has_what_its_engine_refuses_or_means_otherwise(built: Built) -> None:
    found = {f"{s.node}: {mistake}" for s in built.wire.sent for mistake in mistakes(s.sql, built.kind)}
    assert sorted(found) == []


def test_daily_revenue_is_a_materialized_view_of_tables_alone(built: Built) -> None:
    """BigQuery and Redshift refuse one that reads a view."""
    made = built.wire.of("model.data_platform.daily_revenue")
    words = {
        "bigquery": "materialized view if not exists",
        "snowflake": "dynamic table",
        "redshift": "materialized view",
    }
    assert f"create {words[built.kind]}" in made
    assert "delete from" not in made
    read = set(re.findall(r"(?:from|join)\s+(\S+\.\S+)", made))
    assert {name.replace("`", "").replace('"', "").partition(".")[2] for name in read} == {
        "raw_shop.orders", "raw_shop.payments"
    }  # fmt: skip
    refresh = {
        "bigquery": "refresh_materialized_view",
        "snowflake": "refresh",
        "redshift": "refresh materialized view",
    }
    again = built.again("daily_revenue")
    assert refresh[built.kind] in again
    if built.kind == "bigquery":  # which reads no view of a table that was recreated
        assert again.index("create or replace materialized view") < again.index("refresh_materialized_view")


def test_a_dynamic_table_is_refreshed_by_dbt_alone_and_needs_no_change_tracking(built: Built) -> None:
    """The clauses in the documented order of CREATE DYNAMIC TABLE. Without TARGET_LAG its scheduler must be disabled."""
    if built.kind != "snowflake":
        pytest.skip("a kind of table of Snowflake's")
    made = re.sub(r"\s+", " ", built.wire.of("model.data_platform.daily_revenue")).lower()
    head, _, _ = made.partition(" as (")
    clauses = re.search(
        r"dynamic table \S+ warehouse = \w+ refresh_mode = full initialize = on_create scheduler = 'disable'$",
        head,
    )
    assert clauses, head
    assert re.search(r"alter dynamic table \S+ refresh", built.again("daily_revenue").lower())


def test_a_table_that_is_read_by_day_is_stored_by_day(built: Built) -> None:
    made = re.sub(r"\s+", " ", built.wire.of("model.data_platform.user_metrics_fact"))
    stored = {
        "bigquery": "partition by activity_date cluster by user_id",
        "snowflake": "cluster by (activity_date, user_id)",
        "redshift": "compound sortkey(activity_date,user_id)",
    }
    assert stored[built.kind] in made.lower().replace('"', "").replace("`", "")


def test_texts_of_a_source_are_not_cut(built: Built) -> None:
    """Redshift's VARCHAR is 256 bytes where nobody says more."""
    made = built.wire.of("model.data_platform.stg_stripe__charges")
    expected = {"bigquery": "as string)", "snowflake": "as varchar)", "redshift": "as varchar(65535))"}
    assert expected[built.kind] in made
