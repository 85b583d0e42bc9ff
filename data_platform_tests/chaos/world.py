"""The small world that chaos happens to: three tables at a source, a project that syncs them, seeded
edits, and the comparison of the warehouse with an independent full read of the source.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import yaml

from data_platform.landing import orphans, verify
from data_platform.landing.manifest import Manifest
from data_platform.sync import Platform, open_platform
from data_platform.sync.platform import utc_now
from data_platform.tables import TableId
from data_platform_tests.landing.chains import problems_of

TABLES = ("orders", "items", "notes")
KEYS = {"orders": ("order_id",), "items": ("order_id", "line"), "notes": ("note_id",)}
COLUMNS = {
    "orders": "order_id, status, amount, created_at, updated_at",
    "items": "order_id, line, label, price, shipped_on, tags",
    "notes": "note_id, body, flags",
}
CATALOG = {
    # found by the clock, by the scan of row versions, and without days
    "orders": {
        "key": "order_id",
        "cursor": "updated_at",
        "cursor_clock": "database",
        "partition": "created_at",
    },
    "items": {"key": ["order_id", "line"], "partition": "shipped_on"},
    "notes": {"key": "note_id", "personal": {"body": "keep"}},
}
DAYS = [f"2026-01-{day:02d}" for day in range(1, 9)]
MAKE = """
drop table if exists orders, items, notes cascade;
create table orders (
    order_id bigint primary key, status text, amount numeric(10,2),
    created_at timestamptz, updated_at timestamptz not null default clock_timestamp());
create index on orders (updated_at);
create index on orders (created_at);
create or replace function stamp() returns trigger language plpgsql as
    $$ begin new.updated_at := clock_timestamp(); return new; end $$;
create trigger stamp before insert or update on orders for each row execute function stamp();
create table items (order_id bigint, line int, label text, price double precision, shipped_on date,
    tags text[], primary key (order_id, line));
create table notes (note_id int primary key, body text, flags bool);
insert into orders (order_id, status, amount, created_at) select n, 'new', n / 7.0,
    timestamptz '2026-01-01 12:00+00' + n % 8 * interval '1 day' from generate_series(1, 60) n;
insert into items select n / 2, n % 2, 'item ' || n, n / 3.0, date '2026-01-01' + n % 8, array['a', n::text]
    from generate_series(1, 60) n;
insert into notes select n, repeat('note ', n % 5), n % 2 = 0 from generate_series(1, 25) n;
"""

AGED_SECONDS = 3 * 24 * 3600

Edit = Callable[[random.Random], list[str]]
"""Gives the statements of one transaction."""


@dataclass
class Verdict:
    """What is wrong after a clean sync. ``by_hand`` is whatever somebody would have to see to."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    resurrected: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.duplicated or self.resurrected or self.by_hand)

    def __iadd__(self, other: Verdict) -> Verdict:
        for name in ("lost", "duplicated", "resurrected", "by_hand"):
            getattr(self, name).extend(getattr(other, name))
        return self

    def __str__(self) -> str:
        lines = [
            f"{name.replace('_', ' ')}: {', '.join(found[:6])}" for name, found in vars(self).items() if found
        ]
        return "; ".join(lines) or "all is well"


class World:
    """``url`` is the source as a person reaches it; ``seen_url`` as the sync does, perhaps by a proxy."""

    def __init__(
        self,
        folder: Path,
        url: str,
        seen_url: str | None = None,
        *,
        landing: dict[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        connections: int = 2,
    ) -> None:
        self.folder = folder
        self.url, self.seen_url = url, seen_url or url
        self.root = folder / "project"
        self.landing = landing
        self._environ = dict(environ or {})
        self._connections = connections
        self._platforms: dict[Path, Platform] = {}

    # ---- making it

    def make(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.execute(MAKE)
        self._project(self.root)

    def another_host(self) -> Path:
        """The root of a second project: the same landing store, a warehouse of its own."""
        root = self.folder / "second"
        if not root.exists():
            self._project(root)
        return root

    def _project(self, root: Path) -> None:
        sources = root / "catalog" / "sources"
        sources.mkdir(parents=True)
        local = {
            "landing": self.landing or {"kind": "local", "path": str(self.landing_folder)},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 60, "threads": 1},
        }
        (root / "catalog" / "platform.yaml").write_text(yaml.safe_dump({"environments": {"local": local}}))
        document = {
            "source": "shop",
            "kind": "postgres",
            "connection": {
                "url_env": "SHOP_URL",
                "lock_timeout_seconds": 1,
                "connections": self._connections,
            },
            "start": DAYS[0],
            "tables": CATALOG,
        }
        (sources / "shop.yaml").write_text(yaml.safe_dump(document))

    def limit(self, **limits: int) -> None:
        """Set some of the source's limits in the catalog."""
        file = self.root / "catalog" / "sources" / "shop.yaml"
        document = yaml.safe_load(file.read_text())
        document["connection"] |= limits
        file.write_text(yaml.safe_dump(document))

    @property
    def landing_folder(self) -> Path:
        return self.folder / "landing"

    @property
    def environ(self) -> dict[str, str]:
        return {**self._environ, "SHOP_URL": self.seen_url}

    def job(
        self, operation: str, tables: Sequence[str] = TABLES, slices: Sequence[str] = (), **more: Any
    ) -> dict[str, Any]:
        """What the fork server is asked to do; ``at`` or ``at_site`` is where it is killed."""
        asked = {"operation": operation, "tables": list(tables), "slices": list(slices)}
        watched = "at" in more or "at_site" in more
        return {
            "root": str(self.root),
            "environ": self.environ,
            "act": "kill",
            "watched": watched,
            **asked,
            **more,
        }

    # ---- the source

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)

    def execute(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    def edit(self, rng: random.Random, edits: Sequence[Edit] = ()) -> list[str]:
        """Seeded edits, a transaction each; what was done. One that a reader's lock holds up is left out."""
        done = []
        with self.connect() as connection:
            connection.execute("set lock_timeout = '300ms'")
            for _ in range(rng.randint(1, 5)):
                statements = rng.choice(edits or EDITS)(rng)
                with suppress(psycopg.errors.LockNotAvailable), connection.transaction():
                    for statement in statements:
                        connection.execute(statement)
                    done.append("; ".join(statements))
        return done

    # ---- the comparison

    def platform(self, root: Path) -> Platform:
        if root not in self._platforms:
            self._platforms[root] = open_platform(root, "local", {**os.environ, **self.environ})
        return self._platforms[root]

    def compare(
        self, root: Path | None = None, tables: Sequence[str] = TABLES, *, deletes: bool = True
    ) -> Verdict:
        """The warehouse against a full read by another client; its ledger; what lies about.

        Without ``deletes`` rows that are gone at the source may still be there: a sync of changes
        does not see them go, and nothing else may be wrong after it.
        """
        verdict = Verdict()
        with self.connect() as source:
            source.execute("set timezone = 'UTC'")
            source.execute("begin isolation level repeatable read")
            there = {table: _rows(source, table, table, "xmin::text::bigint") for table in tables}
        try:
            with duckdb.connect(str((root or self.root) / "warehouse.duckdb"), read_only=True) as warehouse:
                warehouse.execute("set timezone = 'UTC'")
                here = {
                    table: _rows(warehouse, table, f"raw_shop.{table}", "_source_xmin") for table in tables
                }
        except duckdb.Error as error:
            return Verdict(by_hand=[f"the warehouse cannot be read: {error}"])
        for table in tables:
            verdict += _difference(table, there[table], here[table])
        if not deletes:
            verdict.resurrected.clear()
        verdict.by_hand += self._left(root or self.root, tables)
        return verdict

    def _left(self, root: Path, tables: Sequence[str]) -> list[str]:
        """Ledger numbers that are wedged or missing, parts that nothing ever collects, stray files."""
        platform = self.platform(root)
        found: list[str] = []
        for name in tables:
            table = TableId("shop", name)
            found += problems_of(platform.ledger, table)
            found += verify.verify(platform.ledger, table, utc_now()).problems
            chain: list[Manifest] = platform.ledger.since(table, 0)
            if [m.sequence for m in chain] != list(range(1, len(chain) + 1)):
                found.append(f"{table} has a gap in its ledger")
            hour, now = timedelta(hours=1), utc_now()
            orphans.collect(platform.ledger, table, now, hour, remove=False)
            orphans.collect(platform.ledger, table, now + 2 * hour, hour, remove=True)
            # those of the batch after the head wait for that batch, and go with it
            still = orphans.collect(platform.ledger, table, now + 4 * hour, hour, remove=False)
            found += [f"the orphan {orphan.key}" for orphan in (*still.ripe, *still.waiting)]
        left = [*self.scratch_files(), *self._beside_the_warehouse(root)]
        return found + [f"the file {path.relative_to(self.folder)}" for path in left]

    @property
    def scratch(self) -> Path:
        return self.folder / "cache" if self.landing else self.landing_folder / ".scratch"

    def scratch_files(self) -> list[Path]:
        return list(self.scratch.iterdir()) if self.scratch.exists() else []

    def _beside_the_warehouse(self, root: Path) -> list[Path]:
        """Files of the engine's own, and of ours, that outlive it."""
        strange = [path for path in root.glob("*warehouse.duckdb*") if path.name != "warehouse.duckdb"]
        return [path for path in strange if path.is_file() or any(path.iterdir())]

    def age_scratch(self) -> None:
        """As if three days had passed: what a killed process left is then swept by the next sync."""
        then = time.time() - AGED_SECONDS
        for path in [*self.scratch_files(), *self.folder.glob("*/.warehouse*")]:
            os.utime(path, (then, then))


def _rows(connection: Any, table: str, relation: str, version: str) -> list[tuple[Any, ...]]:
    rows = connection.execute(f"select {COLUMNS[table]}, {version} from {relation}").fetchall()
    return [tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in rows]


def _difference(table: str, there: list[tuple[Any, ...]], here: list[tuple[Any, ...]]) -> Verdict:
    width = len(KEYS[table])
    source = {row[:width]: row for row in there}
    counts = Counter(row[:width] for row in here)
    held = set(here)

    def named(keys: Any) -> list[str]:
        return [f"{table} {key}" for key in sorted(keys)]

    return Verdict(
        # a row that is there in another version has lost its change
        lost=named(key for key, row in source.items() if row not in held),
        duplicated=named(key for key, n in counts.items() if n > 1),
        resurrected=named(counts.keys() - source.keys()),
    )


# ---- seeded edits


def _insert(rng: random.Random) -> list[str]:
    n, day = rng.randint(100, 10**9), rng.choice(DAYS)
    return [
        f"insert into orders values ({n}, 'new', {rng.randint(1, 999)}, '{day} 10:00+00') on conflict do nothing",
        f"insert into items values ({n}, 0, 'new', 1.5, '{day}', array['x']) on conflict do nothing",
        f"insert into notes values ({n}, 'new {n}', null) on conflict do nothing",
    ]


def _update(rng: random.Random) -> list[str]:
    n = rng.randint(2, 9)
    return [
        f"update orders set status = 'paid {n}' where order_id % {n} = 0",
        f"update items set label = 'l{n}', tags = null where line = {n % 2} and order_id % {n} = 1",
        f"update notes set body = body || '{n}' where note_id % {n} = 1",
    ]


def _delete(rng: random.Random) -> list[str]:
    n = rng.randint(0, 10)
    return [
        f"delete from orders where order_id % 11 = {n}",
        f"delete from items where order_id % 11 = {n}",
        f"delete from notes where note_id % 11 = {n}",
    ]


def _move(rng: random.Random) -> list[str]:
    """Rows change their day, or have none any more."""
    n, day = rng.randint(0, 6), rng.choice(DAYS)
    moved = rng.choice([f"'{day} 11:00+00'", "null"])
    return [
        f"update orders set created_at = {moved} where order_id % 7 = {n}",
        f"update items set shipped_on = '{day}' where order_id % 7 = {n}",
    ]


def _rename(rng: random.Random) -> list[str]:
    """Keys change: one row is gone and another has come."""
    n = rng.randint(0, 12)
    return [
        f"update orders set order_id = -order_id where order_id % 13 = {n}",
        f"update notes set note_id = -note_id where note_id % 13 = {n}",
    ]


def _reload(rng: random.Random) -> list[str]:
    """TRUNCATE and the same rows again, but for some: those must not come back."""
    table = rng.choice(TABLES)
    key = KEYS[table][0]
    return [
        f"create temporary table kept on commit drop as select * from {table} where {key} % 5 <> {rng.randint(0, 4)}",
        f"truncate {table}",
        f"insert into {table} select * from kept",
    ]


def _in_savepoints(rng: random.Random) -> list[str]:
    n = rng.randint(10**9, 2 * 10**9)
    return [
        "savepoint one",
        f"insert into notes values ({n}, 'kept', true) on conflict do nothing",
        "release one",
        "savepoint two",
        "update notes set body = 'never seen'",
        "delete from items",
        "rollback to two",
    ]


EDITS: tuple[Edit, ...] = (_insert, _update, _update, _delete, _move, _rename, _reload, _in_savepoints)
KEEPING: tuple[Edit, ...] = (_insert, _update, _in_savepoints)
"""Those after which a sync of changes alone shows every row as it is."""
