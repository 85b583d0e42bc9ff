"""The YAML that ``discover`` writes: what it finds in tricky schemas, and that it works as written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sync import Platform, TableReport, open_platform, sync_changes
from data_platform.sync.sources import check_sources, discover

pytestmark = pytest.mark.slow
HASH_KEY = "a test's key, long enough to be taken"
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
SCHEMA = "Sales.2024"
TRICKY = (Path(__file__).parent / "tricky.sql").read_text(encoding="utf-8")
STAMP = "create function stamp() returns trigger language plpgsql as $$ begin {} return new; end $$"


@dataclass
class Database:
    """A database to look at, and a project that holds nothing but what was written from it."""

    url: str
    root: Path

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def count(self, relation: str) -> int:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(f"select count(*) from {relation}").fetchone()  # type: ignore[call-overload]
            assert found is not None
            return int(found[0])

    @property
    def environ(self) -> dict[str, str]:
        return {"FOUND_URL": self.url, "DATA_PLATFORM_HASH_KEY": HASH_KEY}

    def discover(self, schema: str = "public") -> str:
        return discover(self.environ, source="found", url_env="FOUND_URL", schema=schema)

    def tables(self, schema: str = "public") -> dict[str, Any]:
        """The tables' blocks as YAML reads them."""
        found = yaml.safe_load(self.discover(schema))["tables"]
        assert isinstance(found, dict)
        return found

    def adopt(self, schema: str = "public") -> Platform:
        """A project with the file as it was written, checked against the database."""
        sources = self.root / "catalog" / "sources"
        sources.mkdir(parents=True, exist_ok=True)
        (self.root / "catalog" / "platform.yaml").write_text(PLATFORM)
        (sources / "found.yaml").write_text(self.discover(schema), encoding="utf-8")
        platform = open_platform(self.root, "local", self.environ)
        assert check_sources(platform) == []
        return platform

    def sync(self, platform: Platform, **options: Any) -> dict[str, TableReport]:
        reports = {r.table.table: r for r in sync_changes(platform, "found", **options)}
        for report in reports.values():
            assert report.error is None, report.error
        return reports


@pytest.fixture
def db(database: str, tmp_path: Path) -> Iterator[Database]:
    yield Database(database, tmp_path)


def rows(platform: Platform, sql: str) -> list[tuple[Any, ...]]:
    with platform.warehouse(read_only=True) as warehouse:
        return warehouse.query(sql).rows


def test_a_tricky_schema_syncs_as_it_was_written(db: Database) -> None:
    """Names that need quotes, in YAML and in SQL, no keys, views, partitions and odd types at once."""
    db.execute(TRICKY)
    platform = db.adopt(SCHEMA)
    blocks = db.tables(SCHEMA)
    relations = {name: table.relation[1] for name, table in platform.catalog.source("found").tables.items()}
    with psycopg.connect(db.url) as connection:
        there = connection.execute(
            "select relname from pg_class c where relnamespace = %s::regnamespace and relkind in ('r', 'p', 'v', 'm')"
            " and not relispartition",
            (f'"{SCHEMA}"',),
        ).fetchall()
    assert sorted(relations.values()) == sorted(name for (name,) in there)

    db.sync(platform)
    for name, relation in relations.items():
        quoted = relation.replace('"', '""')
        assert rows(platform, f"select count(*) from raw_found.{name}") == [
            (db.count(f'"{SCHEMA}"."{quoted}"'),)
        ], relation
    again = db.sync(platform)
    moved = {name for name, report in again.items() if report.manifest}
    assert moved == {name for name, block in blocks.items() if block and block.get("strategy") == "replace"}
