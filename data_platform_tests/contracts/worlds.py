"""A source of each kind that the contract is tried on: one table ``items``, written and changed alike in each."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
import yaml

from data_platform.landing.manifest import Manifest
from data_platform.sources.kind import Kind
from data_platform.sources.kinds import kind_of
from data_platform.sync import Platform, TableReport, open_platform, probe, sync_changes
from data_platform.sync.probe import TableProbe
from data_platform.tables import TableId
from data_platform_tests.contracts.toy_pages.feed import Pile
from data_platform_tests.contracts.toy_source.log import Log

ITEMS = TableId("shop", "items")
COLUMNS = {
    "id": "BIGINT",
    "status": "VARCHAR",
    "email": "VARCHAR",
    "phone": "VARCHAR",
    "iban": "VARCHAR",
    "profile": "JSON",
}
PERSONAL = {
    "email": "hash",
    "phone": "mask",
    "iban": "redact",
    "profile.contact.email": "hash",
    "profile.phones": "mask",
}
HASH_KEY = "a test's key, long enough to be taken"


class Items(Protocol):
    """The table at its source."""

    kind: str
    connection: Mapping[str, Any]
    environ: Mapping[str, str]
    found_by_reading: bool
    """Whether nothing but reading tells its columns."""
    moves_by_reading: bool
    """Whether nothing but reading tells that it changed."""
    rereads: bool
    """Whether every sync reads again what may have changed, so that each is a batch."""
    documents: bool
    """Whether it holds documents."""

    def make(self) -> None:
        """The source, and the table without rows."""

    def put(self, id_: int, note: str, **personal: str) -> None: ...
    def delete(self, id_: int) -> None: ...
    def add_column(self, name: str) -> None: ...
    def drop_column(self, name: str) -> None: ...
    def make_anew(self) -> None:
        """Another table of the name, without rows."""


@dataclass
class Postgres:
    url: str
    kind: str = "postgres"
    found_by_reading: bool = False
    moves_by_reading: bool = False
    rereads: bool = False
    documents: bool = True
    connection: Mapping[str, Any] = field(default_factory=lambda: {"url_env": "SHOP_URL"})

    @property
    def environ(self) -> Mapping[str, str]:
        return {"SHOP_URL": self.url}

    def _execute(self, statement: str, values: Sequence[Any] | None = None) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement, values)  # type: ignore[call-overload]

    def make(self) -> None:
        self._execute(
            "create table items (id bigint primary key, status varchar, email varchar, phone varchar, iban varchar,"
            " profile jsonb)"
        )

    def put(self, id_: int, note: str, **personal: str) -> None:
        row = {"id": id_, "status": note, **personal}
        listed, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        changed = ", ".join(f"{name} = excluded.{name}" for name in row)
        self._execute(
            f"insert into items ({listed}) values ({marks}) on conflict (id) do update set {changed}",
            [*row.values()],
        )

    def delete(self, id_: int) -> None:
        self._execute("delete from items where id = %s", [id_])

    def add_column(self, name: str) -> None:
        self._execute(f"alter table items add {name} varchar")

    def drop_column(self, name: str) -> None:
        self._execute(f"alter table items drop {name}")

    def make_anew(self) -> None:
        self._execute("drop table items")
        self.make()


@dataclass
class ToyLog:
    folder: Path
    kind: str = "log"
    found_by_reading: bool = False
    moves_by_reading: bool = False
    rereads: bool = False
    documents: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=lambda: dict(COLUMNS))

    @property
    def connection(self) -> Mapping[str, Any]:
        return {"folder": str(self.folder), "step": 5}

    @property
    def log(self) -> Log:
        return Log(self.folder, "items")

    def make(self) -> None:
        self.folder.mkdir()
        (self.folder / "system").write_text("toy-1")
        self.log.make("first", self.columns)

    def put(self, id_: int, note: str, **personal: str) -> None:
        self.log.append({"id": id_, "status": note, **personal})

    def delete(self, id_: int) -> None:
        self.log.append({"id": id_}, gone=True)

    def add_column(self, name: str) -> None:
        self.columns[name] = "VARCHAR"
        self.log.make("first", self.columns)

    def drop_column(self, name: str) -> None:
        del self.columns[name]
        self.log.make("first", self.columns)

    def make_anew(self) -> None:
        self.log.path.unlink()
        self.log.make("second", self.columns)


@dataclass
class ToyPages:
    folder: Path
    kind: str = "pages"
    environ: Mapping[str, str] = field(default_factory=dict)
    found_by_reading: bool = True
    moves_by_reading: bool = True
    rereads: bool = False
    documents: bool = True

    @property
    def connection(self) -> Mapping[str, Any]:
        return {"folder": str(self.folder), "page": 3}

    @property
    def pile(self) -> Pile:
        return Pile(self.folder, "items")

    def make(self) -> None:
        self.folder.mkdir()
        (self.folder / "system").write_text("toy-pages")
        self.pile.put()

    def put(self, id_: int, note: str, **personal: str) -> None:
        fields = {name: json.dumps(value) for name, value in {"id": id_, "status": note, **personal}.items()}
        if "profile" in personal:
            fields["profile"] = personal["profile"]
        self.pile.put("{" + ", ".join(f'"{name}": {text}' for name, text in fields.items()) + "}")

    def delete(self, id_: int) -> None:
        self.pile.put({"id": id_}, gone=True)

    def add_column(self, name: str) -> None:
        """It is there with the first record that has it."""

    def drop_column(self, name: str) -> None:
        raise AssertionError("a field that no record has any more is no change")

    def make_anew(self) -> None:
        self.pile.path.unlink()
        self.pile.put()
        (self.folder / "items.made").write_text("second")


@dataclass
class Exports:
    """A CSV file for each row."""

    folder: Path
    kind: str = "files"
    environ: Mapping[str, str] = field(default_factory=dict)
    found_by_reading: bool = True
    moves_by_reading: bool = False
    rereads: bool = False
    documents: bool = True
    block: Mapping[str, Any] = field(
        default_factory=lambda: {
            "files": "items/*.csv",
            "types": {"id": "bigint", "profile": "json"},
            "on_delete": "delete",
        }
    )
    columns: list[str] = field(default_factory=lambda: [*COLUMNS])

    @property
    def connection(self) -> Mapping[str, Any]:
        return {"path": str(self.folder), "settle_seconds": 0}

    def _write(self, name: str, *rows: Mapping[str, Any]) -> None:
        with (self.folder / "items" / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def make(self) -> None:
        (self.folder / "items").mkdir(parents=True)
        self._write("0")

    def put(self, id_: int, note: str, **personal: str) -> None:
        self._write(str(id_), {"id": id_, "status": note, **personal})

    def delete(self, id_: int) -> None:
        (self.folder / "items" / f"{id_}.csv").unlink()

    def add_column(self, name: str) -> None:
        self.columns.append(name)

    def drop_column(self, name: str) -> None:
        raise AssertionError("a column that a file lacks is no change")

    def make_anew(self) -> None:
        """Files that are others are changes; only what the catalog says of them makes another table."""
        for file in (self.folder / "items").iterdir():
            file.unlink()
        self.columns.reverse()
        self._write("0")
        self.block = {**self.block, "files": "*/*.csv"}


@dataclass
class Documents(Exports):
    """A file of NDJSON for each row."""

    block: Mapping[str, Any] = field(
        default_factory=lambda: {
            "files": "items/*.ndjson",
            "types": {"id": "bigint", "profile": "json"},
            "on_delete": "delete",
        }
    )

    def _write(self, name: str, *rows: Mapping[str, Any]) -> None:
        lines = []
        for row in rows:
            document = {column: row[column] for column in self.columns if column in row}
            texts = {column: value for column, value in document.items() if column != "profile"}
            said = [
                json.dumps(texts)[1:-1],
                *([f'"profile": {row["profile"]}'] if "profile" in document else []),
            ]
            lines.append("{" + ", ".join(said) + "}\n")
        (self.folder / "items" / f"{name}.ndjson").write_text("".join(lines))

    def delete(self, id_: int) -> None:
        (self.folder / "items" / f"{id_}.ndjson").unlink()

    def make_anew(self) -> None:
        for file in (self.folder / "items").iterdir():
            file.unlink()
        self._write("0")
        self.block = {**self.block, "files": "*/*.ndjson"}


@dataclass
class World:
    """A project over ``items``."""

    root: Path
    items: Items

    def catalog(self, **block: Any) -> World:
        folder = self.root / "catalog" / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        local = {
            "landing": {"kind": "local", "path": "landing"},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 20},
            "keystore": {"kind": "sqlite", "path": "keys/keystore.sqlite"},
        }
        (self.root / "catalog" / "platform.yaml").write_text(
            yaml.safe_dump({"environments": {"local": local}})
        )
        source = {"source": "shop", "kind": self.items.kind, "connection": dict(self.items.connection)}
        source |= getattr(self.items, "source", {})
        own = getattr(self.items, "block", {})
        personal = {path: how for path, how in PERSONAL.items() if self.items.documents or "." not in path}
        tables = {"items": {"key": "id", "personal": personal, **own, **block}}
        (folder / "shop.yaml").write_text(yaml.safe_dump({**source, "start": "2026-01-01", "tables": tables}))
        return self

    @property
    def can(self) -> Kind:
        return kind_of(self.items.kind)

    def platform(self) -> Platform:
        own = {"DATA_PLATFORM_HASH_KEY": HASH_KEY, "DATA_PLATFORM_MASTER_KEY": HASH_KEY}
        return open_platform(self.root, "local", {**os.environ, **own, **self.items.environ})

    def sync(self, **options: Any) -> TableReport:
        (report,) = sync_changes(self.platform(), "shop", **options)
        return report

    def good(self, **options: Any) -> TableReport:
        report = self.sync(**options)
        assert report.error is None, report.error
        return report

    def look(self) -> TableProbe:
        (seen,) = probe(self.platform(), "shop")
        assert seen.error is None, seen.error
        return seen

    def notes(self) -> dict[int, str]:
        with self.platform().warehouse(read_only=True) as warehouse:
            rows = warehouse.query("SELECT id, status FROM raw_shop.items ORDER BY id").rows
        return {int(str(id_).rpartition("_")[2]): note for id_, note in rows}  # type: ignore[misc]

    def batches(self) -> list[Manifest]:
        return self.platform().ledger.since(ITEMS, 0)


def filled(world: World, count: int) -> dict[int, str]:
    for n in range(1, count + 1):
        world.items.put(n, f"first {n}")
    return {n: f"first {n}" for n in range(1, count + 1)}
