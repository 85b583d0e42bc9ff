"""Makes the graph of the catalog, dbt's manifest and the compiled SQL of its models and tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_platform.catalog import Catalog
from data_platform.catalog.environment import Environment
from data_platform.catalog.table import Table
from data_platform.column_lineage import (
    ColumnOf,
    columns_asked_of,
    columns_behind,
    columns_choosing_rows,
    expressions_of,
    relations_in,
    taken,
)
from data_platform.impact.graph import Dependent, Graph, Name, Relation, RelationKind
from data_platform.impact.rules import of_checks, of_rules
from data_platform.privacy.classes import META
from data_platform.privacy.documents import root_of

KINDS: Mapping[str, RelationKind] = {"model": "model", "snapshot": "snapshot", "seed": "seed"}


def build(
    catalog: Catalog, environment: str, manifest: Mapping[str, Any], compiled: Mapping[str, str]
) -> Graph:
    """``compiled`` is SQL by dbt's unique id, in the dialect of the manifest's adapter."""
    dialect = manifest["metadata"]["adapter_type"]
    raw = {table.id.raw_name: table for source in catalog.sources.values() for table in source.tables.values()}  # fmt: skip
    relations: dict[Name, Relation] = {}
    for source in manifest["sources"].values():
        key = source["schema"].lower(), source["identifier"].lower()
        table = raw.pop(".".join(key), None)
        relations[key] = _raw(key, table, source, compiled.values(), dialect)
    for table in raw.values():  # dbt may leave it out
        key = table.id.raw_schema, table.id.table
        relations[key] = _raw(key, table, {}, (), dialect)
    places = _places(manifest)
    for node in _in_order(manifest):
        beside = frozenset(places[id_] for id_ in node["depends_on"]["nodes"] if id_ in places)
        one = _modelled(node, beside, compiled.get(node["unique_id"], ""), dialect, relations)
        relations[one.key] = one
    dependents = [
        *(one for source in catalog.sources.values() for table in source.tables.values() for one in _of_table(table)),
        *_of_models(catalog, relations),
        *_tests(manifest, compiled, dialect, relations),
        *_exports(catalog.environment(environment), relations),
        *_dashboards(manifest),
    ]  # fmt: skip
    return Graph(relations, tuple(dependents))


def _raw(
    key: Name, table: Table | None, source: Mapping[str, Any], texts: Any, dialect: str
) -> Relation:  # fmt: skip
    names = dict.fromkeys(source.get("columns", {}))
    if table is not None:
        names |= dict.fromkeys([*table.key, *table.only, *table.columns])
        names |= dict.fromkeys(filter(None, (table.cursor, table.partition, *map(root_of, table.personal))))
    known = {name.lower() for name in names}
    for text in texts:
        if f"{key[1]}" in text.lower():
            for name in columns_asked_of(text, dialect, key):
                if name.lower() not in known:
                    known.add(name.lower())
                    names[name] = None
    if table is None:
        return Relation(*key, "records", "/".join(key), tuple(names))
    settings = table.model_dump(mode="json", include={"key", "cursor", "partition", "strategy", "only"})
    return Relation(
        *key,
        "raw",
        f"raw/{table.id.source}/{table.id.table}",
        tuple(names),
        (f"{table.id.source}.{table.id.table}",),
        definitions={"": _text(settings)} | {name: table.treatment(name) for name in names},
    )


def _modelled(
    node: Mapping[str, Any],
    beside: frozenset[Name],
    sql: str,
    dialect: str,
    relations: Mapping[Name, Relation],
) -> Relation:
    """``beside``: the relations that dbt says it reads, where no SQL says it."""
    key = node["schema"].lower(), node["alias"].lower()
    tables = {name: one.columns for name, one in relations.items()}
    behind = columns_behind(sql, dialect, tables) if sql else None
    declared = {name.lower(): str(one.get("data_type") or "") for name, one in node["columns"].items()}
    texts = expressions_of(sql, dialect, tables) if behind is not None else {}
    names = tuple(behind) if behind is not None else tuple(declared)
    values = {
        name: None if columns is None else tuple(one for one in columns if (one.schema, one.table) != key)
        for name, columns in (behind or {}).items()
    }
    return Relation(
        *key,
        KINDS[node["resource_type"]],
        "/".join(key),
        names,
        values=values,
        taken=taken(sql, dialect, tables) if sql else None,
        declared={name.lower(): said for name, one in node["columns"].items() if (said := _declared(one))},
        rows=columns_choosing_rows(sql, dialect, tables) if sql else frozenset(),
        reads=relations_in(sql, dialect) - {key} if sql else beside,
        definitions={"": f"{node['config'].get('materialized')} {_digest(' '.join(sql.split()))}"}
        | {name: f"{declared.get(name, '')} {texts.get(name) or _digest(sql)}" for name in names},
    )


def _declared(column: Mapping[str, Any]) -> str:
    """The class that the YAML says of a model's column; empty if none."""
    meta = column.get("meta") or (column.get("config") or {}).get("meta") or {}
    return str(meta.get(META) or "")


def _in_order(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Models, snapshots and seeds after those that they read."""
    nodes = {id_: node for id_, node in manifest["nodes"].items() if node["resource_type"] in KINDS}
    done: set[str] = set()

    def visit(id_: str) -> Iterator[Mapping[str, Any]]:
        if id_ in done or id_ not in nodes:
            return
        done.add(id_)
        for parent in sorted(nodes[id_].get("depends_on", {}).get("nodes", ())):
            yield from visit(parent)
        yield nodes[id_]

    for id_ in sorted(nodes):
        yield from visit(id_)


def _of_table(table: Table) -> Iterator[Dependent]:
    """What the catalog says of a table: its rules, its checks, and the settings by which it is read."""
    where, asset = (table.id.raw_schema, table.id.table), f"raw/{table.id.source}/{table.id.table}"

    def on(*columns: str | None) -> frozenset[ColumnOf]:
        return frozenset(ColumnOf(*where, column) for column in columns if column is not None)

    yield from of_rules(where, asset, table.rules, table.partition)
    at_source = f"source/{table.id.source}/{table.id.table}"
    yield from of_rules(where, at_source, table.source_rules, table.partition)
    yield from of_checks(where, asset, table.checks)
    if table.proved:
        yield Dependent("check", f"{asset}: complete", whole=frozenset({where}))


def _of_models(catalog: Catalog, relations: Mapping[Name, Relation]) -> Iterator[Dependent]:
    """The rules of dbt models. Each model has a name of its own within the project."""
    for one in relations.values():
        model = catalog.models.get(one.asset.rpartition("/")[2]) if one.kind in KINDS.values() else None
        if model is not None:
            yield from of_rules(one.key, one.asset, model.rules, model.partition)
            yield from of_checks(one.key, one.asset, model.checks)


def _tests(
    manifest: Mapping[str, Any],
    compiled: Mapping[str, str],
    dialect: str,
    relations: Mapping[Name, Relation],
) -> Iterator[Dependent]:
    places = _places(manifest)
    tables = {name: one.columns for name, one in relations.items()}
    for id_, node in manifest["nodes"].items():
        if node["resource_type"] != "test":
            continue
        whole = frozenset(places[one] for one in node["depends_on"]["nodes"] if one in places)
        sql, column = compiled.get(id_, ""), node.get("column_name")
        attached = places.get(node.get("attached_node") or "")
        on = None
        if column and attached and len(whole) == 1:
            on = frozenset({ColumnOf(*attached, column.lower())})
        elif sql:
            behind, rows = columns_behind(sql, dialect, tables), columns_choosing_rows(sql, dialect, tables)
            if behind is not None and rows is not None and None not in behind.values():
                on = rows | {one for columns in behind.values() for one in columns or ()}
        meta = node.get("test_metadata") or {}
        text = _text([meta.get("name"), meta.get("kwargs"), node["config"].get("severity")]) + _digest(sql)
        if on:
            yield Dependent("dbt test", node["name"], on, definition=text)
        else:
            yield Dependent("dbt test", node["name"], whole=whole, definition=text)


def _exports(environment: Environment, relations: Mapping[Name, Relation]) -> Iterator[Dependent]:
    publish, iceberg = environment.publish, environment.iceberg
    for key, relation in relations.items():
        if publish is not None and (relation.schema in publish.schemas or relation.label in publish.schemas):
            yield Dependent("export", f"published/warehouse: {relation.label}", whole=frozenset({key}))
        if iceberg is not None and iceberg.exports(*key):
            yield Dependent("export", f"iceberg: {relation.label}", whole=frozenset({key}))
    if environment.backups is not None:
        yield Dependent("export", "backup/warehouse", whole=frozenset(relations))


def _dashboards(manifest: Mapping[str, Any]) -> Iterator[Dependent]:
    """dbt's exposures."""
    places = _places(manifest)
    for exposure in manifest.get("exposures", {}).values():
        whole = frozenset(places[one] for one in exposure["depends_on"]["nodes"] if one in places)
        name = exposure.get("label") or exposure["name"]
        text = _text([exposure.get("type"), exposure.get("url"), sorted(map(list, whole))])
        yield Dependent("dashboard", f"{exposure['type']}: {name}", whole=whole, definition=text)


def _places(manifest: Mapping[str, Any]) -> dict[str, Name]:
    nodes = {
        id_: (node["schema"].lower(), node["alias"].lower())
        for id_, node in manifest["nodes"].items()
        if node["resource_type"] in KINDS
    }
    sources = {
        id_: (one["schema"].lower(), one["identifier"].lower()) for id_, one in manifest["sources"].items()
    }
    return nodes | sources


def _text(value: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
