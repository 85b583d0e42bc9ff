"""On which days a failing dbt test fails, for models whose ``partition`` the catalog names.

A dbt test is one SELECT over the whole model, and what it returns is often not its failing rows: ``unique`` returns values. So dbt's
own tests are asked once more as rules, which count by day. Any other test tells its days if its rows have the partition's column.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from data_platform.catalog.ruled_models import RuledModel
from data_platform.defs.dbt_results import is_model
from data_platform.errors import DataPlatformError
from data_platform.quality.evaluate import RuledRelation, evaluate_relation
from data_platform.quality.rule_days import by_slice
from data_platform.quality.rules import Rule, parse_rule
from data_platform.warehouses import Warehouse

Days = Mapping[str, int]


def partitioned(
    tests: Collection[str], manifest: Mapping[str, Any], models: Mapping[str, RuledModel]
) -> dict[str, RuledRelation]:
    """Of ``tests``, by id, those of a model with days: the relation that they test."""
    found = {}
    by_name = {node["name"]: node for node in manifest["nodes"].values() if is_model(node)}
    for id_ in tests:
        test = manifest["nodes"].get(id_) or {}
        only = (test.get("depends_on") or {}).get("nodes") or [""]
        attached = test.get("attached_node") or (only[0] if len(only) == 1 else "")
        node = by_name.get(_named(test)) or manifest["nodes"].get(attached)
        model = models.get(node["name"]) if node else None
        if node is not None and model is not None and model.partition is not None:
            found[id_] = model.at(node["schema"], node["alias"])
    return found


def days_of(
    warehouse: Warehouse, relation: RuledRelation, manifest: Mapping[str, Any], id_: str, sql: str
) -> Days | None:
    """What fails by day of the test ``id_``, of which ``sql`` is its own SELECT. None if that cannot be told."""
    try:
        rule = as_rule(manifest["nodes"][id_], manifest)
        if rule is not None:
            asked = RuledRelation(
                *(relation.schema, relation.name, (), (rule,)),
                partition=relation.partition,
                timezone=relation.timezone,
            )
            return evaluate_relation(warehouse, asked, samples=0)[0].days or None
        columns = {
            name: type_
            for one in warehouse.describe(relation.schema, relation.name)
            for name, type_ in one.columns
        }
        partition = relation.partition or ""
        if not sql or partition not in columns:
            return None
        day = warehouse.dialect.day(warehouse.dialect.quote(partition), columns[partition], relation.timezone)
        return by_slice(
            warehouse.query(f"SELECT {day} AS day_, count(*) AS n FROM ({sql}) f GROUP BY 1 ORDER BY 1").rows
        )
    except (DataPlatformError, ValueError):
        return None  # the test was answered by dbt; only its days are not known


def as_rule(test: Mapping[str, Any], manifest: Mapping[str, Any]) -> Rule | None:
    """A test that comes with dbt (and ``unique_together``) as a rule that the same rows break."""
    about = test.get("test_metadata") or {}
    given = about.get("kwargs") or {}
    if (test.get("config") or {}).get("where"):
        return None
    column = _quoted(str(test.get("column_name") or given.get("column_name") or ""))
    match about.get("name"):
        case "not_null":
            return parse_rule({"sql": f"{column} IS NOT NULL", "name": "t"})
        case "unique":
            return parse_rule({"rule": f"unique({column})", "name": "t"})
        case "unique_together":
            columns = ", ".join(_quoted(name) for name in given.get("columns", ()))
            return parse_rule({"rule": f"unique({columns})", "name": "t"})
        case "accepted_values":
            values = ", ".join(_literal(value, given.get("quote", True)) for value in given.get("values", ()))
            return parse_rule({"sql": f"{column} IN ({values})", "name": "t"})
        case "relationships":
            others = [one for one in test["depends_on"]["nodes"] if one != test.get("attached_node")]
            other = manifest["nodes"].get(others[0]) if len(others) == 1 else None
            if other is None:
                return None
            field = _quoted(str(given.get("field") or ""))
            keys = f"SELECT {field} FROM {_quoted(other['schema'])}.{_quoted(other['alias'])} WHERE {field} IS NOT NULL"
            return parse_rule({"sql": f"{column} IN ({keys})", "allow_subquery": True, "name": "t"})
        case _:
            return None


def _named(test: Mapping[str, Any]) -> str:
    """The model that a test names for Dagster, as dagster-dbt reads it."""
    meta = (test.get("config") or {}).get("meta") or test.get("meta") or {}
    return str(((meta.get("dagster") or {}).get("ref") or {}).get("name") or "")


def _quoted(name: str) -> str:
    return '"' + name.strip('"').replace('"', '""') + '"'


def _literal(value: Any, quoted: bool) -> str:
    return "'" + str(value).replace("'", "''") + "'" if quoted else str(value)
