"""Data contracts of the Open Data Contract Standard: what is written follows the standard's own schema and comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from data_platform.cli.app import run
from data_platform.errors import ConfigurationError
from data_platform.quality.contract.read import read_contract
from data_platform.quality.contract.rules import entry, of_rule, to_entry
from data_platform.quality.contract.write import Promised, contract, logical_type
from data_platform.quality.evaluate import RuledRelation, evaluate_relation
from data_platform.quality.rules import parse_rule
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform_tests.catalog.documents import write
from data_platform_tests.contracts.test_warehouse_rules import EXPECTED

SCHEMA = json.loads(OpenDataContractStandard.json_schema())
MORE: list[Any] = [
    "email not null",
    "null_rate(email) <= 5%",
    "status in [paid, 'on hold']",
    "kind in [1, 2.5]",
    'sku matches "^[A-Z]{3}-"',
    {"rule": "revenue >= 0", "allow": "1%", "severity": "warn", "owner": "team:finance", "name": "mostly"},
    {"rule": "revenue >= 0", "where": "status = 'paid'", "blocking": True},
    {"sql": "a IN (SELECT id FROM raw_x.y)", "allow_subquery": True, "where": "b > 0"},
]


def mistakes(text: str) -> list[str]:
    """What the standard's schema finds wrong. It asks for a `map` of every property without a `logicalType`, which is
    a condition that it forgot: the standard leaves `logicalType` free."""
    errors = jsonschema.Draft201909Validator(SCHEMA).iter_errors(yaml.safe_load(text))
    found = [
        one
        for one in errors
        if one.message != "'map' is a required property" or "logicalType" in one.instance
    ]
    return [f"{one.json_path}: {one.message}" for one in found]


def test_the_schema_does_find_mistakes() -> None:
    text = contract(
        "shop", "1", [Promised("raw_shop", "orders", rules=(parse_rule("a not null"),))]
    ).to_yaml()
    assert mistakes(text) == []
    assert mistakes(text.replace("nullValues", "nulls")) != []
    assert mistakes(text.replace("kind: DataContract", "kind: Other")) != []


@pytest.mark.parametrize("text", [*(one for one, _, _ in EXPECTED), *MORE], ids=str)
def test_a_rule_comes_back_as_it_was(text: Any) -> None:
    rule = parse_rule(text)
    assert parse_rule(entry(rule)) == rule
    column, quality = of_rule(rule)
    assert parse_rule(to_entry(json.loads(json.dumps(quality)), column)) == rule


def test_a_contract_follows_the_schema_of_the_standard() -> None:
    rules = tuple(parse_rule(one) for one in [*(one for one, _, _ in EXPECTED), *MORE])
    relation = Promised(
        *("raw_shop", "orders", "What was ordered.", "team:shop", ("id",)),
        {"id": "The order."},
        {"id": "BIGINT", "t": "VARCHAR", "tags": "VARCHAR[]", "at": "TIMESTAMP WITH TIME ZONE"},
        {"t": "hash"},
        rules,
        "at",
    )
    text = contract("shop", "1.2.0", [relation]).to_yaml()
    assert mistakes(text) == []
    (found,) = read_contract(text)
    assert (found.schema, found.name, found.left_out) == ("raw_shop", "orders", [])
    assert {parse_rule(one) for one in found.block["rules"]} == set(rules)
    assert (found.block["key"], found.block["partition"]) == ("id", "at")
    assert [logical_type(one) for one in ("DECIMAL(12,3)", "DATE", "JSON")] == ["number", "date", None]


FOREIGN = """\
apiVersion: v3.1.0
kind: DataContract
id: urn:other
version: 1.0.0
status: active
schema:
- name: facts
  physicalName: marts.facts
  description: "Made\\nelsewhere."
  properties:
  - {name: id, primaryKey: true, required: true, unique: true}
  - name: paid
    required: true
    logicalType: number
    logicalTypeOptions: {minimum: 1}
    quality:
    - {metric: nullValues, mustBeLessOrEqualTo: 5, unit: percent}
    - {type: library, metric: invalidValues, arguments: {validValues: [0, 1.5]}, mustBe: 0, severity: warning}
    - {type: library, metric: invalidValues, arguments: {validValues: [0]}, mustBeLessThan: 5}
    - {type: custom, engine: soda, implementation: "min(paid) > 0"}
    - {type: text, description: "is about money"}
  - name: Kind
    enum: [{value: a}, {value: b}]
    quality: [{rule: duplicateCount, mustBeLessThan: 1}]
  quality:
  - {name: rows, type: library, metric: rowCount, mustBeBetween: [1, 100]}
  - {name: pairs, metric: duplicateValues, arguments: {properties: [id, Kind]}, mustBe: 0}
  - {name: total, type: sql, query: "SELECT sum(paid) FROM ${table}", mustBeGreaterThan: 1000}
  - {name: fine, type: sql, query: "SELECT count(*) FROM ${object} WHERE paid < 0", mustBe: 0}
  - {name: nothing, type: sql, query: "SELECT max(paid) FROM ${table} WHERE paid < 0", mustBeLessThan: 5}
  - {name: wrong, type: sql, query: "DROP TABLE ${table}", mustBe: 0}
- name: plain
"""


def test_a_contract_of_somebody_elses_becomes_rules_or_says_why_not() -> None:
    facts, plain = read_contract(FOREIGN)
    assert facts.block["rules"][:9] == [
        "paid not null",
        "paid >= 1",
        "null_rate(paid) <= 0.05",
        {"rule": "paid in [0, 1.5]", "severity": "warn"},
        "Kind in ['a', 'b']",
        "unique(Kind)",
        "row_count() between 1 and 100",
        "unique(id, Kind)",
        {
            "query": "WITH found(value) AS (SELECT sum(paid) FROM {table}) SELECT value FROM found WHERE NOT coalesce(value > 1000, FALSE)"
        },
    ]
    assert facts.block["key"] == "id"
    assert facts.block["description"] == "Made elsewhere."
    words = ["allows some rows", "of the type custom for soda", "of the type text", "must only ask"]
    assert len(facts.left_out) == len(words)
    assert all(word in said for word, said in zip(words, facts.left_out, strict=True))
    assert (plain.schema, plain.name, plain.block) == (None, "plain", {})


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDBWarehouse]:
    with DuckDBConfig(path=Path("w.duckdb"), threads=1).open(tmp_path, files=[tmp_path]) as opened:
        opened.connection.execute("CREATE SCHEMA marts")
        opened.connection.execute(
            "CREATE TABLE marts.facts AS SELECT i AS id, i * 1.5 AS paid, 'a' AS \"Kind\" FROM range(4) t(i)"
        )
        yield opened


def test_what_was_imported_is_evaluated(warehouse: DuckDBWarehouse) -> None:
    facts, _ = read_contract(FOREIGN)
    rules = tuple(map(parse_rule, facts.block["rules"]))
    found = evaluate_relation(warehouse, RuledRelation("marts", "facts", ("id",), rules))
    assert {one.problem for one in found} == {None}
    assert [one.passed for one in found[6:]] == [True, True, False, True, False], (
        "a value that is not there is no pass"
    )


@pytest.mark.parametrize(
    "text", ["", "a: [", "- 1", "apiVersion: v2.2.2\nkind: DataContract", "schema: 5", "surprise: true"]
)
def test_what_is_no_contract_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no data contract of ODCS v3"):
        read_contract(text)


def test_the_commands_write_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(
        tmp_path, "  t: {key: id, rules: [a >= 0, unique(a)], personal: {email: hash}}\n  u: {key: id}\n"
    )
    assert run(["contract", "export", "shop/t", "--name", "shop", "--offline", "--root", str(root)]) == 0
    text = capsys.readouterr().out
    assert mistakes(text) == []
    (tmp_path / "made.yaml").write_text(text)
    assert run(["contract", "import", str(tmp_path / "made.yaml")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# catalog/sources/shop.yaml\n")
    assert yaml.safe_load(out) == {
        "tables": {"t": {"key": "id", "rules": ["unique(a)", "a >= 0"]}}
    } or yaml.safe_load(out) == {"tables": {"t": {"key": "id", "rules": ["a >= 0", "unique(a)"]}}}
    (tmp_path / "foreign.yaml").write_text(FOREIGN)
    assert run(["contract", "import", str(tmp_path / "foreign.yaml")]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("# catalog/models/marts.yaml\n")
    assert "soda" in shown.err
    assert run(["contract", "export", "shop/nothing", "--root", str(root)]) != 0
    assert "no source, table or model shop/nothing" in capsys.readouterr().err
