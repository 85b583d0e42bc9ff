"""dbt with a real adapter whose connection is ours: statements go to a warehouse of names, and are kept.

Only what talks to a server is replaced: opening, executing, and what an adapter asks of a catalog. Macros,
materializations, contracts and tests are the adapter's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.dbt.dialects.names import Names
from data_platform_tests.dbt.runner import PROJECT


@dataclass(frozen=True)
class Statement:
    """``node`` is the model, test or snapshot that dbt was working on."""

    node: str
    sql: str


@dataclass
class Wire:
    """The statements of one dialect, in the order in which they were sent."""

    kind: str
    names: Names
    sent: list[Statement] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def send(self, node: str, sql: str) -> None:
        self.sent.append(Statement(node, sql))
        try:
            self.names.send(sql)
        except Exception as error:
            self.refused.append(f"{node}: {error!r}\n{sql}")
            raise

    def of(self, node: str) -> str:
        """All that was sent for a node."""
        return ";\n".join(each.sql for each in self.sent if each.node == node)


class Cursor:
    """An answer without rows, but for a test's count of failures."""

    rowcount = 0
    sqlstate = "00000"
    sfqid = "0"
    messages: tuple[str, ...] = ()

    def __init__(self, sql: str) -> None:
        self._rows: list[tuple[Any, ...]] = []
        names = []
        if "as failures" in sql:
            names, self._rows = ["failures", "should_warn", "should_error"], [(0, False, False)]
        elif "actual_or_expected" in sql:
            names = ["actual_or_expected"]
        self.description = [(name, None, None, None, None, None, None) for name in names]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def fetchmany(self, _limit: int) -> list[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    def close(self) -> None:
        pass


class Handle:
    session_id = 1

    def close(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def rollback(self) -> None:
        pass


@contextmanager
def replaced(wire: Wire) -> Iterator[None]:
    """The adapter of the wire's kind speaks to the wire."""
    impl = import_module(f"dbt.adapters.{wire.kind}.impl")
    connections = import_module(f"dbt.adapters.{wire.kind}.connections")
    title = {"bigquery": "BigQuery", "snowflake": "Snowflake", "redshift": "Redshift"}[wire.kind]
    adapter, manager = getattr(impl, f"{title}Adapter"), getattr(connections, f"{title}ConnectionManager")
    with pytest.MonkeyPatch.context() as patch:
        for name, function in _of_manager(wire).items():
            patch.setattr(manager, name, function, raising=False)
        for name, function in _of_adapter(wire).items():
            patch.setattr(adapter, name, function, raising=False)
        for name in ("materialized_view_config_changeset", "dynamic_table_config_changeset"):
            patch.setattr(adapter.Relation, name, lambda *_: None, raising=False)  # it is as it was made
        yield


def _of_manager(wire: Wire) -> dict[str, Any]:
    from dbt.adapters.contracts.connection import AdapterResponse, ConnectionState
    from dbt_common.clients.agate_helper import empty_table, table_from_data_flat

    def open_(cls: Any, connection: Any) -> Any:
        connection.state, connection.handle = ConnectionState.OPEN, Handle()
        return connection

    def execute(
        self: Any, sql: str, auto_begin: bool = False, fetch: bool = False, limit: int | None = None
    ) -> Any:
        _, cursor = add_query(self, sql, auto_begin)
        columns = [name for name, *_ in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        answer = table_from_data_flat(rows, columns) if fetch and columns else empty_table()
        return AdapterResponse("OK", rows_affected=0), answer

    def add_query(self: Any, sql: str, auto_begin: bool = True, *_arguments: Any, **_named: Any) -> Any:
        connection = self.get_thread_connection()
        if auto_begin and wire.kind != "bigquery" and not connection.transaction_open:
            self.begin()
        if sql.strip().rstrip(";").upper() not in ("BEGIN", "COMMIT", "ROLLBACK"):
            wire.send(_node(self), sql)
        return connection, Cursor(sql)

    return {
        "open": classmethod(open_),
        "execute": execute,
        "add_query": add_query,
        "cancel_open": lambda self: [],
    }


def _of_adapter(wire: Wire) -> dict[str, Any]:
    names = wire.names

    def list_relations(self: Any, schema_relation: Any) -> list[Any]:
        return [
            self.Relation.create(
                database=names.database, schema=_spelled(wire, schema), identifier=_spelled(wire, name),
                type=relation.kind, quote_policy=self.config.quoting,
            )
            for (schema, name), relation in names.relations.items()
            if schema == str(schema_relation.schema).lower()
        ]  # fmt: skip

    def columns(self: Any, relation: Any) -> list[Any]:
        found = names.get(relation.schema or "", relation.identifier)
        if wire.kind == "bigquery":  # whose client tells no precision
            return [_column(self, name, type_) for name, type_ in (found.columns if found else {}).items()]
        return [
            self.Column.from_description(name, type_)
            for name, type_ in (found.columns if found else {}).items()
        ]

    def of_query(self: Any, sql: str) -> list[Any]:
        return [_column(self, name, type_) for name, type_ in names.describe(sql).items()]

    def get_relation(self: Any, database: str, schema: str, identifier: str) -> Any:
        found = names.get(schema, identifier)
        return found and self.Relation.create(
            database=database,
            schema=schema,
            identifier=identifier,
            type=found.kind,
            quote_policy=self.config.quoting,
        )

    patched = {
        "describe_relation": lambda self, *_: None,
        "describe_dynamic_table": lambda self, *_: None,
        "list_relations_without_caching": list_relations,
        "get_columns_in_relation": columns,
        "get_column_schema_from_query": of_query,
        "list_schemas": lambda self, database: sorted({schema for schema, _ in names.relations}),
        "check_schema_exists": lambda self, database, schema: any(
            schema.lower() == s for s, _ in names.relations
        ),
    }
    if wire.kind == "bigquery":

        def drop_relation(self: Any, relation: Any) -> None:
            kind = str(relation.type or "table").replace("_", " ")
            wire.send(_node(self.connections), f"drop {kind} if exists {relation}")
            self.cache_dropped(relation)

        patched |= {
            "get_relation": get_relation,
            "get_columns_in_select_sql": of_query,
            "drop_relation": drop_relation,
            "is_replaceable": lambda self, *_: True,
            "update_columns": lambda self, *_: None,
            "alter_table_add_columns": lambda self, *_: None,
            "sync_struct_columns": lambda self, _on, _source, _target, changes: changes,
            "update_table_description": lambda self, *_: None,
        }
    return patched


def _column(adapter: Any, name: str, type_: str) -> Any:
    """As an engine's driver tells a type: without its size. Snowflake's has one for all whole and decimal numbers."""
    bare = type_.partition("(")[0]
    if adapter.type() == "snowflake" and bare in (
        "INT",
        "BIGINT",
        "DECIMAL",
        "NUMBER",
        "SMALLINT",
        "TINYINT",
    ):
        bare = "FIXED"
    return adapter.Column(name, bare)


def _spelled(wire: Wire, name: str) -> str:
    return name.upper() if wire.names.dialect == "snowflake" else name


def _node(manager: Any) -> str:
    from dbt_common.events.contextvars import get_node_info

    return str(get_node_info().get("unique_id") or manager.get_thread_connection().name)


class Dbt:
    """dbt on a wire; ``said`` are its warnings and errors."""

    def __init__(self, wire: Wire, folder: Path, project: Path = PROJECT) -> None:
        self.wire, self.folder, self.project = wire, folder, project
        self.said: list[str] = []
        self.manifest: Any = None

    def __call__(self, command: str, *arguments: str) -> Any:
        from dbt.cli.main import dbtRunner

        runner = dbtRunner(manifest=self.manifest, callbacks=[self._hear])
        with replaced(self.wire):
            result = runner.invoke([command, *arguments, *self._options()])
        if command == "parse":
            self.manifest = result.result
        return result

    def _options(self) -> list[str]:
        return [
            "--project-dir", str(self.project), "--profiles-dir", str(self.project), "--target", self.wire.kind,
            "--target-path", str(self.folder / "target"), "--log-path", str(self.folder / "logs"),
            "--threads", "1", "--quiet", "--log-level-file", "none",
        ]  # fmt: skip

    def _hear(self, event: Any) -> None:
        if event.info.level in ("warn", "error"):
            self.said.append(event.info.msg)


VARIABLES = {
    "bigquery": {"DATA_PLATFORM_BIGQUERY_PROJECT": "project"},
    "snowflake": {
        "DATA_PLATFORM_SNOWFLAKE_ACCOUNT": "account",
        "DATA_PLATFORM_SNOWFLAKE_USER": "dbt",
        "DATA_PLATFORM_SNOWFLAKE_DATABASE": "WAREHOUSE",
        "DATA_PLATFORM_SNOWFLAKE_WAREHOUSE": "COMPUTE",
    },
    "redshift": {"DATA_PLATFORM_REDSHIFT_HOST": "nowhere", "DATA_PLATFORM_REDSHIFT_DATABASE": "warehouse"},
}


@contextmanager
def variables(kind: str) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith("DATA_PLATFORM_"):
            del os.environ[name]
    os.environ.update(VARIABLES[kind])
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
