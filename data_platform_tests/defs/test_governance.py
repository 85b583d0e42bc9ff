"""The classes of columns in the graph: tags, the table `governance.columns`, and builds that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform.defs.names import CLASSES
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow
HISTORY = dg.AssetKey(["snapshots", "users_history"])


def materialize(project: Project, *keys: dg.AssetKey) -> dg.ExecuteInProcessResult:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    checks = {one for one in project.repository.asset_graph.asset_check_keys if one.asset_key == CLASSES}
    chosen = checks if CLASSES in keys else set()
    subset = job.get_subset(asset_selection=set(keys), asset_check_selection=chosen)
    return subset.execute_in_process(instance=project.instance, raise_on_error=False)


def scan(project: Project) -> dg.AssetCheckEvaluation:
    (found,) = project.check(
        dg.AssetCheckKey(CLASSES, "undeclared_personal_data")
    ).get_asset_check_evaluations()
    return found


def described(project: Project, key: dg.AssetKey, name: str) -> str:
    event = project.instance.get_latest_materialization_event(key)
    assert event is not None and event.asset_materialization is not None
    value: Any = event.asset_materialization.metadata["dagster/column_schema"]
    return next(column.description or "" for column in value.schema.columns if column.name == name)


def tags(project: Project, key: dg.AssetKey) -> Mapping[str, Mapping[str, str]]:
    event = project.instance.get_latest_materialization_event(key)
    assert event is not None and event.asset_materialization is not None
    value: Any = event.asset_materialization.metadata["dagster/column_schema"]
    return {column.name: column.tags for column in value.schema.columns if column.tags}


def test_columns_carry_their_class_from_the_catalog_to_a_model_and_into_a_table(project: Project) -> None:
    assert project.sync("users", checks=False).success
    hashed = {"data_platform/class": "pseudonymous", "data_platform/treatment": "hash"}
    raw = tags(project, dg.AssetKey(["raw", "shop", "users"]))
    assert raw["email"] == hashed
    assert raw["ssn"] == {"data_platform/treatment": "redact"} and "age" not in raw
    assert materialize(project, HISTORY).success
    assert tags(project, HISTORY) == {
        "email": {"data_platform/class": "pseudonymous"}, "phone": {"data_platform/class": "masked"},
    }  # fmt: skip
    assert (
        described(project, HISTORY, "email") == "The address as it landed, a keyed hash. Class: pseudonymous."
    )
    assert described(project, dg.AssetKey(["raw", "shop", "users"]), "phone").endswith("Class: masked.")
    assert materialize(project, CLASSES).success
    columns = (
        "schema_name || '.' || table_name || '.' || column_name, class, treatment, source_columns, said_by"
    )
    rows = set(project.rows(f"SELECT {columns} FROM governance.columns"))
    source = "raw_shop.users.email"
    assert {
        (source, "pseudonymous", "hash", source, "catalog"),
        ("staging.stg_shop__users.email", "pseudonymous", "", source, "lineage"),
        ("marts.user_dim.email", "pseudonymous", "", source, "model"),
        ("snapshots.users_history.phone", "masked", "", "raw_shop.users.phone", "model"),
    } <= rows
    found = scan(project)
    assert found.passed, found.description
    project.execute("UPDATE users SET segment = 'ask ana@company.example' WHERE user_id = 1")
    assert project.sync("users", checks=False).success
    found = scan(project)
    assert not found.passed and found.severity == dg.AssetCheckSeverity.WARN
    assert "raw_shop.users.segment holds email addresses (1 of " in (found.description or "")
    assert "company.example" not in str(found)
    shop = project.root / "catalog/sources/shop.yaml"
    shop.write_text(
        shop.read_text().replace("      ssn: redact\n", "      ssn: redact\n      segment: not_personal\n")
    )
    changed = Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))
    assert scan(changed).passed
    assert materialize(changed, CLASSES).success
    of_segment = f"SELECT {columns} FROM governance.columns WHERE column_name = 'segment' AND table_name IN ('users', 'stg_shop__users')"
    segment = "raw_shop.users.segment"
    assert set(project.rows(of_segment)) == {
        (segment, "none", "not_personal", segment, "catalog"),
        ("staging.stg_shop__users.segment", "none", "", segment, "lineage"),
    }
    recorded = project.rows("SELECT DISTINCT recorded_at FROM governance.columns")
    assert materialize(changed, CLASSES).success
    assert project.rows("SELECT DISTINCT recorded_at FROM governance.columns") == recorded  # nothing changed


def test_a_model_that_does_not_declare_a_personal_column_is_not_built(project: Project) -> None:
    shop = project.root / "catalog/sources/shop.yaml"
    shop.write_text(shop.read_text().replace("      ssn: redact\n", "      ssn: redact\n      age: keep\n"))
    changed = Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))
    failed = materialize(changed, dg.AssetKey(["marts", "user_dim"]))
    (event,) = failed.get_step_failure_events()
    assert event.step_failure_data.error is not None
    message = str(event.event_specific_data)
    assert "Nothing was built" in message
    assert "marts.user_dim.age <- staging.stg_shop__users.age <- raw_shop.users.age (keep)" in message
    checks = {one.check_name: one for one in materialize(changed, CLASSES).get_asset_check_evaluations()}
    assert not checks["declared"].passed and "user_dim.age" in (checks["declared"].description or "")
    assert checks["undeclared_personal_data"].passed  # nothing is loaded
    assert changed.rows("SELECT * FROM information_schema.tables WHERE table_schema = 'marts'") == []
