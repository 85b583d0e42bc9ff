"""A project of the test's own: a catalog in a temporary folder over a real database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from data_platform.sync import Platform, TableReport, open_platform, sync_changes, sync_slices
from data_platform.tables import Slice, TableId

HASH_KEY = "a test's key, long enough to be taken"
BACKUPS = {"store": {"kind": "local", "path": "backups"}, "start": "2026-01-01"}
KEYSTORE = {"kind": "sqlite", "path": "keys/keystore.sqlite"}


@dataclass
class Project:
    """``sync`` and ``slices`` return the reports by table; ``difference`` compares the warehouse
    with an independent full read of the source."""

    root: Path
    url: str

    def catalog(self, tables: dict[str, Any], **source: Any) -> Project:
        folder = self.root / "catalog" / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        (self.root / "catalog" / "platform.yaml").write_text(
            yaml.safe_dump(
                {
                    "environments": {
                        "local": {
                            "landing": {"kind": "local", "path": "landing"},
                            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 20},
                        }
                    }
                }
            )
        )
        connection = {"url_env": "SHOP_URL", "lock_timeout_seconds": 1, **source.pop("connection", {})}
        document = {"source": "shop", "kind": "postgres", "connection": connection, "start": "2026-01-01"}
        (folder / "shop.yaml").write_text(yaml.safe_dump({**document, **source, "tables": tables}))
        return self

    def environment(self, **blocks: Any) -> Project:
        """Puts blocks into the environment, each in the place of what the catalog has of it."""
        file = self.root / "catalog/platform.yaml"
        document = yaml.safe_load(file.read_text())
        document["environments"]["local"].update(blocks)
        file.write_text(yaml.safe_dump(document))
        return self

    def subjects(self, kinds: dict[str, Any]) -> Project:
        """The kinds of people in ``catalog/subjects.yaml``."""
        (self.root / "catalog/subjects.yaml").write_text(yaml.safe_dump({"subjects": kinds}))
        return self

    def people(self, sql: str, tables: dict[str, Any], kinds: dict[str, Any]) -> Project:
        """A source with people in it, loaded; what landed and the warehouse are backed up."""
        self.execute(sql)
        self.catalog(tables).environment(backups=BACKUPS).subjects(kinds)
        self.good()
        return self

    def platform(self) -> Platform:
        own = {"SHOP_URL": self.url, "DATA_PLATFORM_HASH_KEY": HASH_KEY}
        return open_platform(self.root, "local", {**os.environ, **own})

    def sync(self, tables: Sequence[str] | None = None, **options: Any) -> dict[str, TableReport]:
        return {r.table.table: r for r in sync_changes(self.platform(), "shop", tables, **options)}

    def good(self, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(**options)
        for report in reports.values():
            assert report.error is None, report.error
        return reports

    def verified(self) -> None:
        """Syncs all tables and counts both sides of each."""
        for report in self.good(verify=True).values():
            assert report.completeness is not None and report.completeness.passed, report

    def slices(self, tables: Sequence[str], *slices: str) -> dict[str, TableReport]:
        wanted = [Slice(s) for s in slices]
        return {r.table.table: r for r in sync_slices(self.platform(), "shop", tables, wanted)}

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return warehouse.query(sql).rows

    def build(self, *statements: str) -> None:
        """Runs statements in the warehouse, as a build of models does."""
        with self.platform().warehouse() as warehouse:
            for statement in statements:
                warehouse.connection.execute(statement)  # type: ignore[attr-defined]

    def source_rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()

    def difference(self, table: str, columns: str) -> tuple[list[Any], list[Any]]:
        """(rows only at the source, rows only in the warehouse), versions included."""
        source = self.source_rows(f"select {columns}, xmin::text::bigint from {table}")
        landed = self.rows(f"select {columns}, _source_xmin from raw_shop.{table}")
        missing, extra = list(source), []
        for row in landed:
            if row in missing:
                missing.remove(row)
            else:
                extra.append(row)
        return missing, extra

    def ledger_sequences(self, table: str) -> list[int]:
        return [m.sequence for m in self.platform().ledger.since(TableId("shop", table), 0)]


@pytest.fixture
def project(tmp_path: Path, database: str) -> Iterator[Project]:
    yield Project(tmp_path, database)


ORDERS = {
    "key": "order_id",
    "cursor": "updated_at",
    "cursor_clock": "database",
    "partition": "created_at",
}

ORDERS_SQL = """
create table orders (
    order_id bigint primary key, status text, amount numeric(10,2),
    created_at timestamptz, updated_at timestamptz not null default clock_timestamp());
create index on orders (updated_at);
create index on orders (created_at);
create function stamp() returns trigger language plpgsql as
    $$ begin new.updated_at := clock_timestamp(); return new; end $$;
create trigger stamp before insert or update on orders for each row execute function stamp();
insert into orders select n, 'new', n, timestamptz '2026-01-01 12:00+00' + n % 20 * interval '1 day'
    from generate_series(1, 400) n;
"""

COLUMNS = "order_id, status, amount, created_at, updated_at"


@pytest.fixture(params=["database", "application"], ids=["clock", "xmin"])
def orders(project: Project, request: pytest.FixtureRequest) -> Project:
    """400 orders over 20 days, synced once by either path."""
    project.execute(ORDERS_SQL)
    project.catalog({"orders": {**ORDERS, "cursor_clock": request.param}})
    project.good()
    return project
