"""``catalog/models/*.yaml``: what is read, and each mistake with its file, line and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.errors import CatalogError
from data_platform_tests.catalog.documents import write

CONTRACT = """\
models:
  - name: order_facts
    columns:
      - {name: order_id, data_type: bigint}
      - {name: revenue, data_type: "decimal(18,2)"}
      - {name: day, data_type: date}
  - name: loose
    columns: [{name: a}]
"""


def project(folder: Path, models: str) -> Path:
    root = write(folder, "  orders: {key: id}\n")
    for path, text in {
        "dbt/models/marts/order_facts.sql": "select 1",
        "dbt/models/marts/loose.sql": "select 1",
        "dbt/models/marts/order_facts.yml": CONTRACT,
        "catalog/models/marts.yaml": models,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_a_model_has_what_its_block_and_its_file_say(tmp_path: Path) -> None:
    text = """\
schema: marts
owner: team:analytics
timezone: Europe/Berlin
models:
  order_facts: {key: order_id, partition: day, rules: [revenue >= 0, row_count() >= 1 per day]}
  loose: {owner: "team:other", rules: [anything >= 0, a references orders.id]}
"""
    root = project(tmp_path, text.replace(", a references orders.id", ""))
    models = load_catalog(root).models
    facts, loose = models["order_facts"], models["loose"]
    assert (facts.owner, facts.key, facts.partition, facts.timezone) == (
        "team:analytics",
        ("order_id",),
        "day",
        "Europe/Berlin",
    )
    assert [rule.name for rule in facts.rules] == ["revenue_gte_0", "row_count_gte_1_per_day"]
    assert loose.owner == "team:other", "without a contract, its columns are not known here"
    held = facts.at("dev_marts", "order_facts")
    assert (held.label, held.loads) == ("dev_marts.order_facts", None)
    (root / "catalog/models/marts.yaml").write_text(
        text.replace("revenue >= 0", "revenue >= 1").split("  loose")[0]
    )
    assert load_catalog(root).models["order_facts"].rules[0].name == "revenue_gte_1", "a change is seen"


@pytest.mark.parametrize(
    ("block", "path", "words"),
    [
        ("{rules: [revenu >= 0]}", "rules[0]", "no column of the contract in dbt. Did you mean `revenue`?"),
        ("{key: id}", "key", "no column of the contract"),
        ("{partition: dy}", "partition", "Did you mean `day`?"),
        ("{rules: [{sql: revenue > cost}]}", "rules[0]", "names `cost`"),
        ("{rules: [{rule: revenue >= 0, blocking: true}]}", "rules[0]", "`blocking`, which cannot hold"),
        ("{rules: [row_count_change() <= 1]}", "rules[0]", "a model is built anew"),
        ("{rules: [row_count() >= 1 per day]}", "rules[0]", "the model has no `partition`"),
        ("{rules: [order_id references lose.a]}", "rules[0]", "Did you mean `loose`?"),
        ("{rules: [order_id references shop/ordres.id]}", "rules[0]", "Did you mean `shop/orders`?"),
        ("{rules: [revenue >= 0, revenue >= 0]}", "rules[1]", "appears twice"),
        ("{rules: [revenue betwen 1 and 2]}", "rules[0]", "did you mean `between`?"),
        ("{ruls: []}", "ruls", "Did you mean `rules`?"),
        ("{owner: me}", "owner", "must be an email address"),
        ("{newest_data: {column: dy, max_age_hours: 1}}", "newest_data.column", "Did you mean `day`?"),
        ("{anomalies: {by: dy}}", "anomalies.by", "Did you mean `day`?"),
        ("{anomalies: {columns: [day, cost]}}", "anomalies.columns[1]", "names `cost`, which is no column"),
        (
            "{anomalies: {computed: {margin: revenue - cost}}}",
            "anomalies.computed.margin.cost",
            "names `cost`",
        ),
        ("{anomalies: {computed: {margin: sum(revenue)}}}", "anomalies.computed.margin", "an aggregate"),
        ("{anomalies: {batches: true}}", "anomalies.batches", "is for tables"),
        ("{delivered: {event: order_id}}", "delivered", "unknown key"),
    ],
)
def test_mistakes_of_a_model(tmp_path: Path, block: str, path: str, words: str) -> None:
    root = project(tmp_path, f"schema: marts\nmodels:\n  order_facts: {block}\n")
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(f"catalog/models/marts.yaml:3: models.order_facts.{path}: ")
    assert words in mistake


def test_a_model_has_the_checks_that_a_table_has(tmp_path: Path) -> None:
    block = "{newest_data: {column: day, max_age_hours: 30}, arrives: {column: day, by: '09:00'}, anomalies: {by: day, quantiles: [0.5]}}"
    root = project(tmp_path, f"schema: marts\nmodels:\n  order_facts: {block}\n")
    checks = load_catalog(root).models["order_facts"].checks
    assert sorted(checks) == ["anomalies", "arrives", "newest_data"]
    assert checks["anomalies"].quantiles == (0.5,) and checks["newest_data"].max_age_hours == 30


def test_a_computed_value_that_a_warehouse_cannot_say(tmp_path: Path) -> None:
    root = project(
        tmp_path, "schema: marts\nmodels:\n  order_facts: {anomalies: {computed: {size: ln(revenue)}}}\n"
    )
    load_catalog(root)
    platform = root / "catalog/platform.yaml"
    other = "  cloud:\n    landing: {kind: local, path: cloud}\n    warehouse: {kind: redshift, host: h.example.com, database: d, cluster: c, staging: 's3://bucket/folder'}\n"
    platform.write_text(platform.read_text() + other)
    with pytest.raises(
        CatalogError,
        match=r"anomalies.computed.size: .*environment cloud: ln\(\) is only known to work in DuckDB",
    ):
        load_catalog(root)


def test_a_model_that_dbt_does_not_have(tmp_path: Path) -> None:
    root = project(tmp_path, "schema: marts\nmodels:\n  order_fact: {rules: [a >= 0]}\n")
    with pytest.raises(
        CatalogError, match=r"marts.yaml:3: models.order_fact: is no model of dbt.*Did you mean `order_facts`"
    ):
        load_catalog(root)
    (root / "catalog/models/marts.yaml").write_text("schema: marts\nmodels:\n  order_facts: {}\n")
    (root / "catalog/models/more.yaml").write_text("schema: marts\nmodels:\n  order_facts: {}\n")
    with pytest.raises(CatalogError, match="in another file of models already"):
        load_catalog(root)
