"""A failing dbt test of a model with days says on which of them it fails."""

import shutil

import dagster as dg
import pytest

from data_platform.catalog import load_catalog
from data_platform.catalog.ruled_models import RuledModel
from data_platform.defs import dbt_manifest
from data_platform.defs.build import build
from data_platform.defs.dbt_days import as_rule, partitioned
from data_platform_tests.defs.conftest import Project

ORDERS = dg.AssetKey(["staging", "stg_shop__orders"])
BY_DAY = """\
schema: staging
models:
  stg_shop__orders:
    partition: created_at
"""


def test_of_tests_whose_rows_are_chosen_no_rule_is_made() -> None:
    test = {
        "test_metadata": {"name": "not_null", "kwargs": {"column_name": "a"}},
        "config": {"where": "b = 1"},
    }
    assert as_rule(test, {}) is None
    assert as_rule({**test, "config": {}}, {}) is not None
    own = {"test_metadata": {"name": "my_own", "kwargs": {"column_name": "a"}}}
    assert as_rule(own, {}) is None
    values = {"values": ["it's", "b"], "column_name": "a"}
    accepted = as_rule({"test_metadata": {"name": "accepted_values", "kwargs": values}}, {})
    assert accepted is not None and accepted.sql == "\"a\" IN ('it''s', 'b')"


def test_only_a_model_whose_partition_the_catalog_names_has_days() -> None:
    node = {"name": "m", "schema": "s", "alias": "m", "resource_type": "model"}
    manifest = {
        "nodes": {
            "model.m": node,
            "t": {"attached_node": "model.m"},
            "n": {"meta": {"dagster": {"ref": {"name": "m"}}}},
        }
    }
    without, having = RuledModel(schema_="s", name="m"), RuledModel(schema_="s", name="m", partition="day")
    assert partitioned(["t"], manifest, {"m": without}) == partitioned(["t"], manifest, {}) == {}
    assert set(partitioned(["t", "n", "gone"], manifest, {"m": having})) == {"t", "n"}


@pytest.mark.slow
def test_each_failing_test_names_its_days(project: Project) -> None:
    folder = project.root / "catalog" / "models"
    folder.mkdir(exist_ok=True)
    (folder / "staging.yaml").write_text(BY_DAY)
    tests = project.root / "dbt" / "tests"  # a link to the repository's
    copied = shutil.copytree(tests, project.root / "copied")
    tests.unlink()
    copied.rename(tests)
    singular = "SELECT * FROM {{ ref('stg_shop__orders') }} WHERE order_id = 4"
    (tests / "shop" / "no_fourth_order.sql").write_text(singular)
    (tests / "shop" / "no_fifth_order.sql").write_text(
        "SELECT order_id FROM {{ ref('stg_shop__orders') }} WHERE order_id = 5"
    )
    dbt_manifest.build_manifest(project.root)
    built = Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))
    assert built.sync("orders", "users", checks=False).success
    days = {}
    with built.platform().warehouse() as warehouse:
        for order, change in (
            (1, "status = 'odd'"),
            (2, "user_id = NULL"),
            (3, "user_id = -3"),
            (6, "order_id = 7"),
        ):
            [(days[order],)] = warehouse.query(
                f"SELECT created_at::DATE::VARCHAR FROM raw_shop.orders WHERE order_id = {order}"
            ).rows
            warehouse.query(f"UPDATE raw_shop.orders SET {change} WHERE order_id = {order}")
        for order in (4, 7):
            [(days[order],)] = warehouse.query(
                f"SELECT min(created_at)::DATE::VARCHAR FROM raw_shop.orders WHERE order_id = {order}"
            ).rows
    job = built.definitions.resolve_implicit_global_asset_job_def()
    users = dg.AssetKey(["staging", "stg_shop__users"])
    checks = {c for c in built.repository.asset_graph.asset_check_keys if c.asset_key == ORDERS}
    subset = job.get_subset(asset_selection={ORDERS, users}, asset_check_selection=checks)
    result = subset.execute_in_process(instance=built.instance, raise_on_error=False)
    failing = {one.check_name: one for one in result.get_asset_check_evaluations() if not one.passed}
    told = {name: one.metadata.get("failing_by_day") for name, one in failing.items()}
    by_day = {
        name: {str(record.data["day"]) for record in table.records}
        if isinstance(table, dg.TableMetadataValue)
        else None
        for name, table in told.items()
    }

    def of(part: str) -> set[str] | None:
        [name] = [name for name in by_day if part in name]
        return by_day[name]

    assert of("accepted_values") == {days[1]}
    assert of("not_null") == {days[2]}
    assert of("relationships") == {days[3]}
    assert of("unique") == {days[6], days[7]}
    assert of("no_fourth_order") == {days[4]}
    assert of("no_fifth_order") is None, "its rows have no day, and none is made up"
    [accepted] = [one for name, one in failing.items() if "accepted_values" in name]
    assert f"On 1 day: {days[1]}." in (accepted.description or "")
