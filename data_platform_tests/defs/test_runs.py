"""Real runs of the graph: PostgreSQL to the marts, on Dagster's own storage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import dagster as dg
import duckdb
import psycopg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned

from data_platform.defs.names import PUBLISHED
from data_platform.defs.planned_checks import plan_once
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_status_page import a_page_on_which_nothing_is_unknown

pytestmark = pytest.mark.slow
ORDERS, USERS = dg.AssetKey(["raw", "shop", "orders"]), dg.AssetKey(["raw", "shop", "users"])


EXACTLY = {
    "staging/stg_shop__orders.revenue": ["raw/shop/orders.revenue"],
    "staging/stg_shop__orders.is_cancelled": ["raw/shop/orders.status"],
    "staging/stg_shop__order_items.line_amount": [
        "raw/shop/order_items.quantity",
        "raw/shop/order_items.unit_price",
    ],
    "staging/stg_data_platform__touched_slices.slice_date": ["_data_platform/touched_slices.slice"],
    "snapshots/users_history.email": ["raw/shop/users.email"],
    "intermediate/int_shop__refunds.order_created_date": ["staging/stg_shop__orders.created_date"],
    "marts/daily_revenue.date": [
        "intermediate/int_shop__refunds.refund_date",
        "staging/stg_shop__orders.created_date",
    ],
    "marts/daily_revenue.total_revenue": [
        "staging/stg_shop__orders.is_cancelled",
        "staging/stg_shop__orders.revenue",
    ],
    "marts/order_facts.cost_amount": [
        "staging/stg_shop__order_items.quantity",
        "staging/stg_shop__products.cost",
    ],
    "marts/order_facts.revenue": [
        *(
            f"marts/order_totals.{c}"
            for c in "discount_amount gross_revenue is_cancelled items_amount order_id".split()
        ),
        "staging/stg_shop__order_items.line_amount",
        "staging/stg_shop__order_items.order_item_id",
    ],
    "marts/user_dim.email": ["staging/stg_shop__users.email"],
    "marts/customer_lifetime_value.total_revenue": ["marts/order_totals.gross_revenue"],
}


WHOLE = {
    "rows", "bytes", "seconds", "batch_id", "watermark_before", "watermark_after", "preview",
    "dagster/row_count", "dagster/column_schema", "dagster/table_name",
}  # fmt: skip
"""What the newest event of a table tells."""
ADDED_BY_DBT = {"dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"}
SAID_BY_THE_CATALOG = {"subject_kind", "purpose", "policy_version", "said_by"}
"""Columns of the view of consents, whose one table of answers has neither a purpose nor a version."""
ROWS_COUNTED = {"line_count", "event_count", "refund_count", "days_active", "order_count"}
OF_OTHER_SYSTEMS = {
    "stripe_payment_count", "stripe_paid_amount", "stripe_refund_count", "stripe_refunded_amount", "ticket_count",
}  # fmt: skip
"""This company has none."""


def failures(result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(str(e.event_specific_data) for e in result.all_events if e.is_step_failure)


def partitions(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> list[str | None]:
    return [e.partition for e in result.all_events if e.is_step_materialization and e.asset_key == key]


def told_last(project: Project, key: dg.AssetKey) -> Mapping[str, Any]:
    event = project.instance.get_latest_materialization_event(key)
    assert event is not None and event.asset_materialization is not None
    return event.asset_materialization.metadata


def revenue_is_the_sources(project: Project) -> None:
    """By order, day and user, what the marts call revenue is what the source's own orders say."""
    for of_source, of_mart in (
        ("order_id", "SELECT order_id, sum(revenue) FROM marts.order_facts"),
        ("(created_at AT TIME ZONE 'UTC')::date", "SELECT date, sum(total_revenue) FROM marts.daily_revenue"),
        ("user_id", "SELECT user_id, sum(total_revenue) FROM marts.customer_lifetime_value"),
    ):
        query = f"SELECT {of_source}, sum(revenue) FROM orders WHERE status <> 'cancelled' GROUP BY 1"
        with psycopg.connect(project.url) as connection:
            expected = {key: revenue for key, revenue in connection.execute(query) if revenue}
        actual = {key: revenue for key, revenue in project.rows(f"{of_mart} GROUP BY 1") if revenue}
        assert actual == expected
        assert expected


def columns_lead_to_their_sources(project: Project) -> None:
    """Each model's columns say what they are made of: columns of other assets, or a reason why of none."""
    metadata: dict[dg.AssetKey, Any] = {}
    for key in project.repository.asset_graph.get_all_asset_keys():
        event = project.instance.get_latest_materialization_event(key)
        if (
            event
            and event.asset_materialization
            and "dagster/column_schema" in event.asset_materialization.metadata
        ):
            metadata[key] = event.asset_materialization.metadata
    columns: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for schema, table, column in project.rows(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns"
    ):
        columns[(*schema.split("_", 1), table) if schema.startswith("raw_") else (schema, table)].add(column)
    made_of: dict[str, list[str]] = {}
    for key in (key for key in metadata if key.path[0] != "raw"):
        lineage = metadata[key]["dagster/column_lineage"].value.deps_by_column
        assert lineage.keys() == columns[tuple(key.path)]
        assert "not known" not in metadata[key]["column_lineage"].value
        for column, deps in lineage.items():
            assert all(dep.column_name in columns[tuple(dep.asset_key.path)] for dep in deps)
            made_of[f"{key.to_user_string()}.{column}"] = [
                f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps
            ]
    known = {name: made_of[name] for name in EXACTLY}
    assert known == EXACTLY
    of_no_column = {
        name.partition(".")[2]
        for name, deps in made_of.items()
        if not deps and not name.startswith("intermediate/int_users__service_days.")
    }
    assert of_no_column == ADDED_BY_DBT | SAID_BY_THE_CATALOG | ROWS_COUNTED | OF_OTHER_SYSTEMS


def test_everything_is_green_and_every_materialization_tells_its_story(project: Project) -> None:
    result = project.run("everything")
    assert result.success, failures(result)
    made = project.instance.get_latest_materialization_event(ORDERS).asset_materialization  # type: ignore[union-attr]
    assert made is not None
    assert made.metadata.keys() >= WHOLE
    count = project.rows("SELECT count(*) FROM raw_shop.orders")[0][0]
    assert made.metadata["dagster/row_count"].value == count > 0
    days = {str(row[0]) for row in project.rows("SELECT DISTINCT created_at::DATE FROM raw_shop.orders")}
    assert days <= project.instance.get_materialized_partitions(ORDERS)
    facts = project.instance.get_latest_materialization_event(dg.AssetKey(["marts", "order_facts"]))
    assert facts is not None and facts.asset_materialization is not None
    assert facts.asset_materialization.metadata["dagster/row_count"].value > 0
    evaluated = {(e.asset_key.path[0], e.check_name) for e in result.get_asset_check_evaluations()}
    assert ("raw", "complete") in evaluated
    assert any(layer == "marts" for layer, _ in evaluated)
    columns_lead_to_their_sources(project)
    readers_find_what_was_built(project, result)
    revenue_is_the_sources(project)
    emails = [str(row[0]) for row in project.rows("SELECT email FROM raw_shop.users")]
    users = project.instance.get_latest_materialization_event(USERS).asset_materialization  # type: ignore[union-attr]
    assert users is not None and "@" not in str(users.metadata["preview"].value)
    assert not any("@" in email for email in emails)
    for evaluation in result.get_asset_check_evaluations():
        assert "@example" not in str(evaluation.metadata)
    a_page_on_which_nothing_is_unknown(project, result)

    # In the same process again: nothing moved, so nothing is read and it counts as a look.
    again = project.sync("orders", "users", checks=False)
    assert again.success, failures(again)
    assert partitions(again, ORDERS) == [None]
    look = project.instance.get_latest_materialization_event(ORDERS).asset_materialization  # type: ignore[union-attr]
    assert look is not None and look.metadata["operation"].value == "look"


def readers_find_what_was_built(project: Project, result: Any) -> None:
    """The publication holds the marts of this run, and says of which loads."""
    made = project.instance.get_latest_materialization_event(PUBLISHED).asset_materialization  # type: ignore[union-attr]
    assert made is not None
    loads = {record.data["table"]: record.data["sequence"] for record in made.metadata["loads"].records}
    assert loads["shop/orders"] == "1"
    with duckdb.connect(str(made.metadata["path"].value), read_only=True) as reader:
        (published,) = reader.execute("SELECT count(*), sum(revenue) FROM marts.order_facts").fetchall()
        schemas = {
            row[0] for row in reader.execute("SELECT DISTINCT schema_name FROM duckdb_tables()").fetchall()
        }
    assert [published] == project.rows("SELECT count(*), sum(revenue) FROM marts.order_facts")
    assert schemas == {"marts", "_data_platform"}
    assert [e.passed for e in result.get_asset_check_evaluations() if e.asset_key == PUBLISHED] == [True]


def test_changes_report_the_days_they_touched_and_a_slice_replaces_its_own(project: Project) -> None:
    assert project.sync("orders", checks=False).success
    project.execute(
        "UPDATE orders SET status = 'refunded' WHERE created_at::date IN ('2026-11-02', '2025-03-03')"
    )
    before = project.instance.get_materialized_partitions(ORDERS)
    result = project.sync("orders", checks=False)
    assert result.success, failures(result)
    records = project.instance.fetch_materializations(ORDERS, limit=3).records
    assert sorted(str(r.partition_key) for r in records) == ["2025-03-03", "2026-11-02", "None"]
    assert before == project.instance.get_materialized_partitions(ORDERS)

    project.execute("DELETE FROM payments WHERE created_at::date = '2026-11-05'")
    project.execute("DELETE FROM orders WHERE created_at::date = '2026-11-05'")
    result = project.sync(
        "orders",
        tags={
            "dagster/asset_partition_range_start": "2026-11-04",
            "dagster/asset_partition_range_end": "2026-11-06",
        },
    )
    assert result.success, failures(result)
    assert partitions(result, ORDERS) == ["2026-11-04", "2026-11-05", "2026-11-06"]
    sql = "SELECT count(*) FROM raw_shop.orders WHERE created_at::DATE = '2026-11-05'"
    assert project.rows(sql) == [(0,)]
    completeness = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert completeness["complete"]


def test_a_run_of_days_counts_its_own_days_and_each_check_once(project: Project) -> None:
    """A row leaves a day of the run for another one: that one is told, but not as the run's."""
    assert project.sync("orders", checks=False).success
    project.execute(
        "UPDATE orders SET created_at = timestamptz '2026-11-20 12:00+00' WHERE created_at::date = '2026-11-05'"
    )
    range_ = {
        "dagster/asset_partition_range_start": "2026-11-04",
        "dagster/asset_partition_range_end": "2026-11-06",
    }
    result = project.sync("orders", tags=range_)
    assert result.success, failures(result)
    records = project.instance.fetch_materializations(ORDERS, limit=10).records
    mine = [r.partition_key for r in records if r.run_id == result.run_id]
    assert sorted(map(str, mine)) == ["2026-11-04", "2026-11-05", "2026-11-06"]
    assert "2026-11-20" in [r.partition_key for r in records if r.run_id != result.run_id]

    # as the daemon plans the checks of such a run: one record for each of its partitions
    days = project.repository.asset_graph.get(ORDERS).partitions_def
    assert days is not None
    subset = days.subset_with_partition_keys(["2026-11-04", "2026-11-05", "2026-11-06"])
    key = dg.AssetCheckKey(ORDERS, "complete")
    run = project.instance.create_run_for_job(
        project.definitions.resolve_job_def("shop_changes"), tags=range_
    )
    planned = AssetCheckEvaluationPlanned(
        asset_key=ORDERS, check_name=key.name, partitions_subset=subset.to_serializable_subset()
    )
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value, run.job_name, event_specific_data=planned
    )
    project.instance.report_dagster_event(event, run.run_id)

    def history() -> list[tuple[str, str | None]]:
        found = project.instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
        return [(r.status.value, r.partition) for r in found if r.run_id == run.run_id]

    assert len(history()) == 3
    plan_once(project.instance, run.run_id)
    assert history() == [("PLANNED", None)]


def test_partitioned_tables_and_others_are_read_under_one_snapshot(project: Project) -> None:
    """A transaction that writes to both kinds is seen in both or in neither."""
    assert project.sync("orders", "users", checks=False).success
    ledger, source = project.platform().ledger, project.platform().catalog.source("shop")
    assert source.table("orders").partition and not source.table("users").partition
    heads = [ledger.head(source.table(name).id) for name in ("orders", "users")]
    assert len({head and head.snapshot.text for head in heads}) == 1

    days = {f"dagster/asset_partition_range_{end}": "2026-11-04" for end in ("start", "end")}
    result = project.sync("orders", "users", checks=False, tags=days)
    assert result.success, failures(result)
    assert partitions(result, ORDERS) == ["2026-11-04"]
    assert partitions(result, USERS) == [None]
    for key in (ORDERS, USERS):
        assert told_last(project, key).keys() >= WHOLE


def test_each_day_of_a_run_tells_of_itself_and_the_last_of_the_table(project: Project) -> None:
    """The asset's page shows its newest event; a backfill of years would store the same columns with each day."""
    assert project.sync("orders", "payments", checks=False).success
    days = [f"2026-11-0{n}" for n in range(3, 7)]
    range_ = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]}
    config = {"ops": {"sync_shop": {"config": {"slices": ["2026-11-20", "null"]}}}}
    result = project.sync("orders", "payments", checks=False, tags=range_, run_config=config)
    assert result.success, failures(result)
    for key in (ORDERS, dg.AssetKey(["raw", "shop", "payments"])):
        records = project.instance.fetch_materializations(key, limit=20).records
        made = [r.asset_materialization for r in records if r.run_id == result.run_id]
        told = {one.partition: one.metadata for one in made if one}
        assert list(told) == days[::-1]
        for day, metadata in told.items():
            sql = f"SELECT count(*) FROM raw_shop.{key.path[-1]} WHERE created_at::DATE = '{day}'"
            assert [(metadata["rows"].value,)] == project.rows(sql)
        assert all(told[day].keys() == {"rows", "batch_id"} for day in days[:-1])
        last = told_last(project, key)
        assert last == told[days[-1]] and last.keys() >= WHOLE
        elsewhere = project.rows(
            f"SELECT count(*) FROM raw_shop.{key.path[-1]} WHERE created_at::DATE = '2026-11-20'"
        )[0][0]
        assert last["rows_of_batch"].value == elsewhere + sum(one["rows"].value for one in told.values()) > 0


def test_a_model_asked_for_alone_brings_what_it_is_made_of(project: Project) -> None:
    assert project.sync("orders", "order_items", "payments", "products", checks=False).success
    key = dg.AssetKey(["marts", "order_facts"])
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={key}, asset_check_selection=set())
    result = subset.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success, failures(result)
    made = [e.asset_key.to_user_string() for e in result.all_events if e.is_step_materialization]
    assert made[-1] == "marts/order_facts"
    assert "staging/stg_shop__orders" in made
    assert "marts/daily_revenue" not in made


def test_good_tables_are_reported_and_the_bad_one_is_named(project: Project) -> None:
    assert project.sync("orders", "payments", checks=False).success
    project.execute("ALTER TABLE payments ALTER COLUMN amount TYPE text USING amount::text")
    project.execute("UPDATE orders SET status = 'paid' WHERE order_id = 1")
    result = project.sync("orders", "payments")
    assert not result.success
    assert "shop/payments" in failures(result)
    assert ORDERS in {e.asset_key for e in result.all_events if e.is_step_materialization}
    assert {e.asset_key for e in result.get_asset_check_evaluations()} == {ORDERS}


def test_a_blocking_check_fails_the_run_after_everything_is_reported(project: Project) -> None:
    project.execute("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey")
    project.execute("ALTER TABLE orders ALTER COLUMN user_id DROP NOT NULL")
    project.execute("UPDATE orders SET user_id = NULL WHERE order_id = 1")
    result = project.sync("orders")
    assert not result.success
    assert "user_id_not_null" in failures(result)
    failed = {e.check_name: e for e in result.get_asset_check_evaluations() if not e.passed}
    assert failed["user_id_not_null"].metadata["rows_failing"].value == 1
    assert "sample" in failed["user_id_not_null"].metadata


def test_checks_alone_read_the_warehouse_and_sync_nothing(project: Project) -> None:
    key = dg.AssetCheckKey(ORDERS, "complete")
    assert project.sync("orders").success
    head = project.platform().ledger.head
    table = project.platform().catalog.source("shop").table("orders").id
    before = head(table)
    result = project.check(key, dg.AssetCheckKey(ORDERS, "revenue_gte_0"))
    assert {e.check_name for e in result.get_asset_check_evaluations()} == {"complete", "revenue_gte_0"}
    assert head(table) == before

    with project.platform().warehouse() as warehouse:
        warehouse.query("DELETE FROM raw_shop.orders WHERE order_id = 2")
    result = project.check(key)
    assert [e.passed for e in result.get_asset_check_evaluations()] == [False]
