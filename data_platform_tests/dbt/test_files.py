"""The structure of the dbt project, read from its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2] / "dbt"
GENERATED = {"consents"}
"""What `validate --write` makes of the catalog, where it is."""
MODELS = [path for path in sorted((PROJECT / "models").rglob("*.sql")) if path.stem not in GENERATED]
MARTS = {
    "order_facts",
    "order_totals",
    "user_dim",
    "user_metrics_fact",
    "user_sessions",
    "daily_revenue",
    "customer_lifetime_value",
    "stripe_payments",
    "stripe_reconciliation",
    "support_tickets_fact",
    "web_traffic_daily",
    "marketing_funnel_daily",
    "marketing_audience",
}
PATHS = {path.stem: path for path in MODELS}
THE_COLUMNS_THAT_EVERYBODY_ASKS_FOR = {
    "order_facts": "order_id user_id product_id order_date quantity revenue created_at",
    "user_dim": "user_id email signup_date country user_segment is_active",
    "daily_revenue": "date total_revenue",
    "customer_lifetime_value": "user_id total_revenue order_count",
}
KEYS_WITHOUT_PARENT = {"session_id", "event_id", "customer_id"}
"""Stripe forgets customers who are deleted."""


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def described(sql: Path) -> dict[str, Any]:
    models: list[dict[str, Any]] = read_yaml(sql.with_suffix(".yml"))["models"]
    assert [model["name"] for model in models] == [sql.stem]
    return models[0]


def test_names(model: dict[str, Any], column: str) -> set[str]:
    found: dict[str, Any] = next((c for c in model["columns"] if c["name"] == column), {})
    return {test if isinstance(test, str) else next(iter(test)) for test in found.get("data_tests", [])}


test_names.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("sql", MODELS, ids=lambda path: path.stem)
class TestEachModel:
    def test_says_its_grain_and_every_column(self, sql: Path) -> None:
        model = described(sql)
        assert model["description"].startswith("One row per "), "a description begins with the grain"
        assert model["config"]["group"] in {"sales", "customers", "marketing"}
        missing = [column["name"] for column in model["columns"] if not column.get("description")]
        assert not missing

    def test_tests_its_key(self, sql: Path) -> None:
        model = described(sql)
        if sql.stem == "stg_data_platform__touched_slices":
            return  # a log: no column of it is a key
        key = model["columns"][0]["name"]
        together = [test["unique_together"]["arguments"]["columns"] for test in model.get("data_tests", [])]
        if together:
            assert all("not_null" in test_names(model, column) for column in together[0])
        else:
            assert {"unique", "not_null"} <= test_names(model, key), f"{key} is the key of {sql.stem}"

    def test_tests_its_foreign_keys(self, sql: Path) -> None:
        model = described(sql)
        key = model["columns"][0]["name"] if not model.get("data_tests") else None
        for column in (c["name"] for c in model["columns"]):
            if column.endswith("_id") and column != key and column not in KEYS_WITHOUT_PARENT:
                assert "relationships" in test_names(model, column), f"{sql.stem}.{column}"


def test_a_staging_view_is_named_after_its_source_table_and_every_table_of_the_shop_has_one() -> None:
    for folder in sorted((PROJECT / "models" / "staging").iterdir()):
        sources = read_yaml(folder / f"_{folder.name}__sources.yml")["sources"]
        tables = {f"stg_{folder.name}__{table['name']}" for source in sources for table in source["tables"]}
        staged = {path.stem for path in folder.glob("*.sql")}
        assert staged <= tables
        assert staged == tables or folder.name != "shop"


def test_what_needs_a_source_stands_in_a_folder_with_its_name() -> None:
    """Only so can dbt leave it out: elsewhere a model may name the source's models where it asks whether it is there."""
    for path in [*MODELS, *(PROJECT / "tests").rglob("*.sql")]:
        assert needed(path) <= set(path.parts), f"{path.stem} lies in no folder of what it needs"


def needed(path: Path) -> set[str]:
    """The sources without which a model or a test cannot be."""
    text = path.read_text()
    found = set(re.findall(r"\b(?:source|landed)\('(\w+)'", text))
    for name in re.findall(r"ref\('(\w+)'\)", text):
        found |= needed(PATHS[name])
    return found - set(re.findall(r"has_(?:landed|source)\('(\w+)'", text)) - {"data_platform"}


def test_marts_are_there_and_typed() -> None:
    marts = [path for path in MODELS if "marts" in path.parts]
    assert {path.stem for path in marts} == MARTS
    assert read_yaml(PROJECT / "dbt_project.yml")["models"]["data_platform"]["marts"]["+contract"] == {
        "enforced": True
    }
    for path in marts:
        untyped = [c["name"] for c in described(path)["columns"] if not c.get("data_type")]
        assert not untyped, path.stem


@pytest.mark.parametrize("mart", THE_COLUMNS_THAT_EVERYBODY_ASKS_FOR)
def test_a_mart_has_the_columns_that_everybody_asks_for(mart: str) -> None:
    columns = {column["name"] for column in described(PATHS[mart])["columns"]}
    assert set(THE_COLUMNS_THAT_EVERYBODY_ASKS_FOR[mart].split()) <= columns


def test_every_mart_has_a_unit_test() -> None:
    for name in MARTS:
        tests = read_yaml(PATHS[name].with_suffix(".yml"))["unit_tests"]
        assert any(test["model"] == name for test in tests)


def test_marts_and_intermediate_models_read_no_raw_table() -> None:
    reading = [p.stem for p in MODELS if "source(" in p.read_text() and "staging" not in p.parts]
    assert reading == []


def test_every_mart_and_its_columns_that_matter_are_documented() -> None:
    text = (PROJECT.parent / "docs" / "models.md").read_text()
    for name in MARTS | {"users_history"}:
        section = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", text, re.S | re.M)
        assert section, f"docs/models.md has no section about {name}"
        if name in MARTS:
            columns = {c["name"] for c in described(PATHS[name])["columns"]}
            listed = set(re.findall(r"^\| `(\w+)`", section[1], re.M))
            assert listed and listed <= columns, f"{name}: {sorted(listed - columns)} are not columns"


def test_nothing_is_downloaded_or_reported() -> None:
    assert not (PROJECT / "packages.yml").exists() and not (PROJECT / "dependencies.yml").exists()
    assert read_yaml(PROJECT / "dbt_project.yml")["flags"]["send_anonymous_usage_stats"] is False


def test_days_of_the_shop_are_utc_days() -> None:
    """daily_revenue reads touched slices, days in the source's zone, as the UTC days it counts by."""
    catalog = PROJECT.parent / "catalog" / "sources" / "shop.yaml"
    assert read_yaml(catalog).get("timezone", "UTC") == "UTC"
