"""Which columns a model's columns are made of, read off the SQL that dbt ran.

dagster-dbt offers the same with an adapter of dbt in this process, which we keep out. Nothing is guessed:
where the SQL cannot be followed there is no lineage, and never an error, since the table itself is good.

A column's lineage is of its values: the columns in its expression, however many steps of the model it goes
through. What merely chooses rows (joins, conditions, groups) is not part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import dagster as dg

from data_platform.defs.shown import code_in_cell

if TYPE_CHECKING:
    from sqlglot import exp

    from data_platform.defs.dbt_run import Models
    from data_platform.warehouses import Warehouse

Tables = Mapping[tuple[str, str], Sequence[str]]
"""Columns by schema and name."""


class ColumnOf(NamedTuple):
    """A column as the warehouse names it."""

    schema: str
    table: str
    column: str


class ColumnLineage:
    """The models of one dbt invocation that is done and wrote its ``run_results.json`` to ``target``."""

    def __init__(self, models: Models, target: Path) -> None:
        self._models, self._target = models, target
        self._described: Tables | None = None

    def metadata(self, warehouse: Warehouse, key: dg.AssetKey) -> dict[str, Any]:
        """For Dagster and for people: its own page shows lineage of columns in the paid product alone."""
        node = self._models.nodes.get(key)
        sql = self._compiled.get(node["unique_id"]) if node else None
        if node is None or not sql or node.get("language", "sql") != "sql":
            return {}
        tables = self._tables(warehouse)
        own = node["schema"].lower(), node["alias"].lower()
        found = columns_behind(sql, self._models.manifest["metadata"]["adapter_type"], tables)
        if found is None:
            return {}
        deps: dict[str, list[dg.TableColumnDep]] = {}
        shown = []
        for name in tables.get(own, ()):
            behind = found.get(name.lower())
            if name.lower() not in found and node["resource_type"] == "snapshot":
                deps[name], words = [], "added by dbt"
            elif behind is None or (known := self._deps(behind, own)) is None:
                words = "not known"
            else:
                deps[name], words = known, _words(known, behind)
            shown.append((name, words))
        return {
            "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps),
            "column_lineage": dg.MetadataValue.md(_as_table(shown)),
        }

    def _deps(self, columns: Sequence[ColumnOf], own: tuple[str, str]) -> list[dg.TableColumnDep] | None:
        """None where one of them is of a table that is no asset. A model's ``own`` earlier rows are left out."""
        deps = []
        for column in columns:
            if (column.schema, column.table) == own:
                continue
            key = self._models.by_relation.get((column.schema, column.table))
            if key is None:
                return None
            deps.append(dg.TableColumnDep(key, column.column))
        return sorted(deps, key=lambda dep: (dep.asset_key, dep.column_name))

    @cached_property
    def _compiled(self) -> Mapping[str, str]:
        """SQL by the model's id; empty where dbt ended before it wrote its results."""
        try:
            results = json.loads((self._target / "run_results.json").read_bytes())["results"]
        except (OSError, ValueError, KeyError):
            return {}
        return {result["unique_id"]: result.get("compiled_code") or "" for result in results}

    def _tables(self, warehouse: Warehouse) -> Tables:
        if self._described is None:
            self._described = {
                (relation.schema.lower(), relation.name.lower()): [name for name, _ in relation.columns]
                for relation in warehouse.describe()
            }
        return self._described


def columns_behind(sql: str, dialect: str, tables: Tables) -> dict[str, list[ColumnOf] | None] | None:
    """Per column of a query, in lower case, the columns of ``tables`` in its expression; None for a
    column, or for the whole query, that cannot be followed."""
    from sqlglot.lineage import lineage  # Dagster's own dbt library has imported it already
    from sqlglot.optimizer.scope import build_scope

    try:
        query = _qualified(sql, dialect, tables)
        scope = build_scope(query) if query is not None else None
        if query is None or scope is None:
            return None
        nodes = lineage(None, query, schema={}, dialect=dialect, scope=scope, trim_selects=False, copy=False)
        return {name.lower(): _leaves(node, tables) for name, node in nodes.items()}
    except Exception:  # another dialect's words, another shape of tree: whatever a parser may raise
        return None


def _qualified(sql: str, dialect: str, tables: Tables) -> exp.Expr | None:
    """The query with the table of each column written out; None for what sqlglot would follow wrongly."""
    from sqlglot import exp, parse_one
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.schema import MappingSchema

    query = parse_one(sql, dialect=dialect)
    read = set()
    for table in query.find_all(exp.Table):
        table.set("catalog", None)  # there is but one warehouse
        read.add((table.db.lower(), table.name.lower()))
    by_position = all(not union.args.get("by_name") for union in query.find_all(exp.SetOperation))
    if not by_position or any(select.args.get("windows") for select in query.find_all(exp.Select)):
        return None
    schema = MappingSchema(dialect=dialect)
    for database, name in read & tables.keys():
        table = exp.table_(exp.to_identifier(name, quoted=True), db=exp.to_identifier(database, quoted=True))
        columns = dict.fromkeys(tables[database, name], "unknown")
        schema.add_table(table, columns, dialect=dialect, match_depth=False)
    query = qualify(query, schema=schema, dialect=dialect, validate_qualify_columns=False, identify=False)
    return None if query.find(exp.TableColumn, exp.Columns) else query


def _leaves(node: Any, tables: Tables) -> list[ColumnOf] | None:
    from sqlglot import exp

    found = set()
    for leaf in node.walk():
        if leaf.downstream:
            continue
        if not isinstance(leaf.expression, exp.Table):
            if leaf.expression.find(exp.Column, exp.Placeholder):
                return None
            continue  # a constant, or rows counted
        schema, table = leaf.expression.db.lower(), leaf.expression.name.lower()
        wanted = exp.to_column(leaf.name).name.lower()
        column = next((name for name in tables.get((schema, table), ()) if name.lower() == wanted), None)
        if column is None:
            return None
        found.add(ColumnOf(schema, table, column))
    return sorted(found)


def _words(deps: Sequence[dg.TableColumnDep], behind: Sequence[ColumnOf]) -> str:
    if not deps:
        return "its own earlier rows" if behind else "no column: a constant, or rows counted"
    names: dict[dg.AssetKey, list[str]] = {}
    for dep in deps:
        names.setdefault(dep.asset_key, []).append(code_in_cell(dep.column_name))
    return "; ".join(f"{_link(key)}: {', '.join(columns)}" for key, columns in names.items())


def _link(key: dg.AssetKey) -> str:
    path = "/".join(quote(part, safe="") for part in key.path)
    return f"[{code_in_cell(key.to_user_string())}](/assets/{path})"


def _as_table(rows: Sequence[tuple[str, str]]) -> str:
    lines = ["| column | made of |", "| --- | --- |"]
    return "\n".join(lines + [f"| {code_in_cell(name)} | {words} |" for name, words in rows])
