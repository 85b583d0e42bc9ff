"""Which columns a model's columns are made of, read off the SQL that dbt ran.

dagster-dbt offers the same with an adapter of dbt in this process, which we keep out. ``column_lineage.py`` reads the
SQL. A column's lineage is of its values: what merely chooses rows is not part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg

from data_platform.column_lineage import ColumnOf, Tables, columns_behind
from data_platform.defs.shown import code_in_cell

if TYPE_CHECKING:
    from data_platform.defs.dbt_run import Models
    from data_platform.warehouses import Warehouse


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
