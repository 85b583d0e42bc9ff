"""Rules of dbt models in real runs: checks of the models' assets, evaluated after dbt; their failing rows in the warehouse."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform.defs.lapses import evaluations, lapsing
from data_platform.defs.model_checks import STEP
from data_platform.quality.failures import TABLE
from data_platform.quality.verdicts import METRICS
from data_platform.warehouses.journal import read
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow
FACTS = dg.AssetKey(["marts", "order_facts"])
MODELS = """\
schema: marts
owner: team:analytics
models:
  order_facts:
    key: [order_id, line_number]
    partition: created_date
    rules:
      - unique(order_id, line_number)
      - {rule: revenue < 0, severity: warn, owner: "team:finance", name: odd}
      - row_count() >= 1 per day
      - sum(revenue) equals query "SELECT sum(total_revenue) FROM marts.customer_lifetime_value" within 0.01
      - user_id references user_dim.user_id
      - user_id references shop/users.user_id
  order_totals:
    anomalies: {columns: [net_revenue], quantiles: [0.5]}
    newest_data: {column: created_at, max_age_hours: 8784}
  user_dim:
    anomalies: {by: signup_date}
    arrives: {column: signup_date, by: "09:00", lookback_days: 1, rows_min: 1000000}
"""


@pytest.fixture
def ruled(project: Project) -> Project:
    (project.root / "catalog" / "models" / "marts.yaml").write_text(MODELS)
    return Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))


def test_a_run_evaluates_the_checks_of_what_it_built(ruled: Project) -> None:
    result = ruled.run("everything")
    assert result.success
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert steps.index("dbt_build") < steps.index(STEP)
    rules_are_evaluated_and_failing_rows_kept(ruled, result)
    models_have_the_checks_of_tables_and_each_build_is_recorded_once(ruled, result)


def rules_are_evaluated_and_failing_rows_kept(ruled: Project, result: dg.ExecuteInProcessResult) -> None:
    spec = ruled.repository.asset_graph.get_check_spec(dg.AssetCheckKey(FACTS, "odd"))
    assert spec.metadata["owner"] == "team:finance"
    found = {one.check_name: one for one in result.get_asset_check_evaluations() if one.asset_key == FACTS}
    own = {
        name: found[name]
        for name in (rule.name for rule in load_catalog(ruled.root).models["order_facts"].rules)
    }
    assert {name: one.description for name, one in own.items() if not one.passed} == {
        "odd": own["odd"].description
    }, "all that holds in the shop passes"
    odd = own["odd"]
    assert odd.severity == dg.AssetCheckSeverity.WARN
    assert odd.metadata["rows_failing"].value == odd.metadata["rows"].value > 100
    with ruled.platform().warehouse(read_only=True) as warehouse:
        kept = read(warehouse, TABLE, {"table_name": "marts.order_facts"})
        assert {one["rule"] for one in kept} == {"odd"}
        assert len(kept) == 100
        command = shlex.split(str(odd.metadata["failing_rows"].value))
        assert len(warehouse.query(command[2]).rows) == 100


def models_have_the_checks_of_tables_and_each_build_is_recorded_once(
    ruled: Project, result: dg.ExecuteInProcessResult
) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(["marts", "order_totals"]), "anomalies")
    spec = ruled.repository.asset_graph.get_check_spec(key)
    assert spec.metadata["owner"] == "team:analytics" and "as its past lets expect" in str(spec.description)
    found = {
        (one.asset_key.path[-1], one.check_name): one
        for one in result.get_asset_check_evaluations()
        if one.check_name in ("anomalies", "newest_data", "arrives") and one.asset_key.path[0] == "marts"
    }
    assert {name: one.passed for name, one in found.items()} == {
        ("order_totals", "anomalies"): True,
        ("order_totals", "newest_data"): True,
        ("user_dim", "anomalies"): True,
        ("user_dim", "arrives"): False,
    }
    assert str(found["order_totals", "anomalies"].description).startswith("Learning")
    late = found["user_dim", "arrives"]
    assert "The model was built at" in str(late.description) and late.metadata["stopped"].value == "tables"
    newest = found["order_totals", "newest_data"].metadata["newest"].value
    with ruled.platform().warehouse(read_only=True) as warehouse:
        kept = read(warehouse, METRICS, {"table_name": "marts.order_totals"})
        days = read(warehouse, METRICS, {"table_name": "marts.user_dim"})
        rows, largest = warehouse.query("SELECT count(*), max(created_at) FROM marts.order_totals").rows[0]
    figures = {(row["metric"], row["column_name"]): row["figure"] for row in kept}
    assert figures["rows", ""] == rows and ("median", "net_revenue") in figures
    assert {row["batch_id"] for row in kept} == {f"{result.run_id} {_built(ruled)}"}
    assert {row["batch_id"] for row in days} == {""} and len(days) > 50
    assert str(newest) == largest.astimezone(UTC).isoformat()
    again = dg.AssetSelection.checks(key)
    job = dg.define_asset_job("again", selection=again)
    made = dg.Definitions.merge(ruled.definitions, dg.Definitions(jobs=[job]))
    assert made.resolve_job_def("again").execute_in_process(instance=ruled.instance).success
    with ruled.platform().warehouse(read_only=True) as warehouse:
        assert len(read(warehouse, METRICS, {"table_name": "marts.order_totals"})) == len(kept)


def test_models_without_checks_have_no_step(project: Project) -> None:
    (project.root / "catalog" / "models" / "marts.yaml").unlink()
    made = build(load_catalog(project.root), "local")
    assert STEP not in {node.name for node in made.resolve_job_def("everything").nodes}


def _built(project: Project) -> str:
    event = project.instance.get_latest_materialization_event(dg.AssetKey(["marts", "order_totals"]))
    assert event is not None
    return f"{event.timestamp:.0f}"


def test_a_passing_check_of_a_model_ends_by_itself(ruled: Project) -> None:
    models = load_catalog(ruled.root).models
    facts, key = dg.AssetKey(["marts", "order_totals"]), "newest_data"
    checks = lapsing(load_catalog(ruled.root), {facts: models["order_totals"]})
    of_models = {one: lapse for one, lapse in checks.items() if lapse.table is None}
    assert set(of_models) == {dg.AssetCheckKey(facts, key)}
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    found = {
        one: {"newest": "2026-01-01T00:00:00+00:00", "good_until": "2026-11-30T11:00:00+00:00"}
        for one in of_models
    }
    (told,) = evaluations(checks, found, {}, {facts: now - timedelta(hours=2)}, now)
    assert not told.passed and told.asset_key == facts and "hours old" in str(told.description)
    assert "so its builds stopped" in str(told.description)
    assert "lapsed_checks" in {sensor.name for sensor in ruled.definitions.sensors or ()}


def test_only_what_is_selected_is_evaluated(ruled: Project) -> None:
    chosen = dg.AssetSelection.assets(dg.AssetKey(["staging", "stg_shop__users"])).upstream()
    job = dg.define_asset_job("some", selection=chosen)
    made = dg.Definitions.merge(ruled.definitions, dg.Definitions(jobs=[job]))
    assert STEP not in {node.name for node in made.resolve_job_def("some").nodes}
