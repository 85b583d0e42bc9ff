"""A warehouse of each engine behind a connection and a backup store beside it, and what is loaded to be backed up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.export import BackupReport, export, store
from data_platform.backups.manifest import backup_id
from data_platform.backups.restore import restore
from data_platform.stores.local import LocalStore
from data_platform.tables import Column, TableId
from data_platform.warehouses.archive import ArchivableConfig, archivable
from data_platform.warehouses.kinds import in_file
from data_platform.warehouses.remote.archive import RemoteArchive
from data_platform_tests.contracts.batches import COLUMNS, Chain
from data_platform_tests.contracts.conftest import served
from data_platform_tests.contracts.engines import ENGINES, Engine

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
VALUES: dict[str, tuple[str, ...]] = {
    "TINYINT": ("-128", "127", "0"),
    "SMALLINT": ("-32768", "32767", "0"),
    "INTEGER": ("-2147483648", "2147483647", "0"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807", "0"),
    "UBIGINT": ("0", "18446744073709551615", "1"),
    "DECIMAL(10,2)": ("-12345678.90", "0.50", "0"),
    "DECIMAL(38,18)": ("-12345678901234567890.123456789012345678", "0.000000000000000001", "0"),
    "DECIMAL(9,9)": ("-0.123456789", "0.5", "0"),
    "BOOLEAN": ("true", "false", "true"),
    "DATE": ("0001-01-01", "9999-12-31", "1969-12-31"),
    "TIME": ("00:00:00", "23:59:59.999999", "12:00:00.5"),
    "TIMESTAMP": ("0001-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.5"),
    "TIMESTAMPTZ": (
        "0001-01-01 00:00:00.000001+00",
        "9999-12-31 23:59:59.999999+00",
        "2026-03-29 01:30:00+00",
    ),
    "UUID": (
        "00000000-0000-0000-0000-00000000000a",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "12345678-1234-5678-1234-567812345678",
    ),
    "VARCHAR": ("", "it's \\ 5% \n ü 🦆 {} \x1f ", "NULL"),
    "JSON": ('{"b": 1.10, "a": 12345678901234567890, "b": null}', "[]", "{}"),
    "BLOB": ("\\x00\\xFF", "", "{}"),
    "BIGINT[]": ("[1, NULL, -9223372036854775808]", "[]", "[0]"),
    "FLOAT": ("0.1", "-3.4e38", "1e-45"),
    "DOUBLE": ("0.1", "1.7976931348623157e308", "-2.2250738585072014e-308"),
}
READ_AS = {"UUID": "VARCHAR", "JSON": "VARCHAR", "BIGINT[]": "JSON"}
"""What a backup keeps a landed type as, where a text does."""
NOT_HELD = {"snowflake": ("UBIGINT", "BIGINT[]"), "bigquery": ("DECIMAL(9,9)",)}
"""UBIGINT Snowflake refuses. Its emulator calls an ARRAY a VARIANT; that of BigQuery writes 0.5 as .5."""


EMULATED = ("bigquery", "snowflake")
"""Engines whose emulator takes seconds for each statement of a backup."""
SAMPLE = "test_every_value_comes_back_as_it_was_landed_and_with_the_type_that_it_had"
"""What every run tests of them."""

LACKS: dict[str, tuple[str, ...]] = {"snowflake": ("time travel", "COPY INTO a stage", "sizes")}
"""What an emulator cannot do of a backup; the statements for it are compiled and parsed instead (``test_archive_words.py``)."""
FALLBACKS: dict[str, dict[str, object]] = {"snowflake": {"unload": "client", "time_travel": False}}
"""Settings for an engine without what its emulator lacks."""


@dataclass
class Place:
    """A warehouse of an engine, and a backup store beside it."""

    name: str
    engine: Engine
    root: Path

    @property
    def config(self) -> ArchivableConfig:
        config = archivable(self.engine.config(self.root)).bounded("384MB")
        return config.model_copy(update=FALLBACKS.get(self.name, {}))  # type: ignore[attr-defined,no-any-return]

    def open(self, *, read_only: bool = False) -> AbstractContextManager[RemoteArchive]:
        return self.config.open(self.root, read_only)  # type: ignore[return-value]

    def archive(self, name: str = "primary") -> Archive:
        return Archive(name, lambda: LocalStore(self.root / name))

    def back_up(
        self, nonce: str = "00000000", progress: Callable[[str, int], None] | None = None
    ) -> BackupReport:
        folder = self.root / f"written-{nonce}"
        folder.mkdir()
        id_ = backup_id(NOW, nonce)
        with self.open(read_only=True) as warehouse:
            exported = export(warehouse, folder, id_, progress, keys={("raw_shop", "kinds"): ["id"]})
        return store(exported, (), [self.archive()], id_=id_, environment="local", created_at=NOW)

    def restored(self, sql: str, which: str = "latest") -> list[tuple[Any, ...]]:
        """What a DuckDB file that the backup was restored into answers."""
        file = self.root / "restored.duckdb"
        archive = self.archive()
        report = restore(archive, archive.chosen(which), in_file(file), self.root, replace=True)
        assert not report.mismatches
        return self.asked(sql)

    def asked(self, sql: str) -> list[tuple[Any, ...]]:
        """What the file answers that ``restored`` made."""
        with duckdb.connect(str(self.root / "restored.duckdb"), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    @cached_property
    def other(self) -> ArchivableConfig:
        """Another warehouse of the engine, which is not there yet."""
        return self.config.elsewhere(self.engine.other(self.root))


@pytest.fixture(params=[name for name, one in ENGINES.items() if one.server and name != "ducklake"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    wanted = request.config.getoption("--warehouse")
    if wanted not in (None, request.param):
        pytest.skip(f"`make test-warehouse KIND={request.param}` runs it")
    if wanted is None and request.param in EMULATED and request.function.__name__ != SAMPLE:
        pytest.skip(f"a sample; `make test-warehouse KIND={request.param}` runs it")
    engine = served(ENGINES[request.param], request, monkeypatch)
    yield Place(request.param, engine, tmp_path)
    if engine.emptied is not None:
        engine.emptied(tmp_path)


def kinds(place: Place) -> tuple[Column, ...]:
    held = [kind for kind in VALUES if kind not in NOT_HELD.get(place.name, ())]
    made = tuple(Column(f"c{n}", kind, "") for n, kind in enumerate(held))
    return (COLUMNS[0], *made, COLUMNS[3])


def load_kinds(place: Place) -> Path:
    """Rows of every type, and one of NULLs, landed and loaded; their Parquet file."""
    held = [column.type for column in kinds(place)[1:-1]]
    rows = [(n, *(VALUES[kind][n] for kind in held), n) for n in range(3)]
    rows.append((3, *(None for _ in held), 3))
    chain = Chain(place.root / "kinds", table=TableId("shop", "kinds"), columns=kinds(place), partition=None)
    made, parts = chain.next("merge", rows)
    with place.open() as warehouse:
        warehouse.load(made, parts)
    return parts[0]


def chain_of(place: Place, name: str) -> Chain:
    return Chain(place.root / name, table=TableId("shop", name))


def load(place: Place, chain: Chain, rows: Sequence[Sequence[Any]]) -> None:
    made, parts = chain.next("merge", rows)
    with place.open() as warehouse:
        warehouse.load(made, parts)
