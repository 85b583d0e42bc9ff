"""Backups of warehouses behind a connection that are damaged, or hold what cannot be kept: each is named, and nothing stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_platform.backups.manifest import BackupManifest
from data_platform.backups.restore import drill, restore
from data_platform.errors import BackupDamaged, WarehouseError
from data_platform_tests.warehouses.archive_places import Place, chain_of, kinds, load, load_kinds, place

__all__ = ["place"]
pytestmark = pytest.mark.slow
UNKEPT = {
    "snowflake": (
        "a NUMBER(3,0), b VARIANT, c OBJECT",
        r"raw_shop\.odd\.b is of the type VARIANT; raw_shop\.odd\.c",
    ),
    "bigquery": (
        "a INT64, b ARRAY<INT64>, c STRUCT<d INT64>",
        r"raw_shop\.odd\.b is of the type ARRAY<INT64>; raw_shop\.odd\.c",
    ),
    "redshift": (
        "a BIGINT, b INTERVAL, c TIMETZ",
        r"raw_shop\.odd\.b is of the type INTERVAL; raw_shop\.odd\.c",
    ),
}


def test_a_value_that_the_unload_changes_is_found_by_its_table(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_kinds(place)
    for change in ("value", "row", "file"):
        with monkeypatch.context() as patched, pytest.raises(BackupDamaged, match=r"raw_shop\.kinds"):
            _damaging(place, patched, change)
            place.back_up(change)
        assert place.archive().ids() == []


def _damaging(place: Place, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """What the session unloads of a table of many columns is another thing than the table."""
    with place.open() as warehouse:
        session = type(warehouse.session)
    unloaded = session.unloaded

    def other(self: Any, query: str, folder: Path) -> list[Path]:
        paths = list(unloaded(self, query, folder))
        tables = [(path, pq.read_table(path)) for path in paths]
        if not tables or tables[0][1].num_columns < len(kinds(place)):
            return paths
        path, table = next(pair for pair in tables if pair[1].num_rows)
        if change == "file":
            return [one for one in paths if one != path]
        if change == "row":
            pq.write_table(table.slice(1), path)
        else:
            first = table.column(0).combine_chunks()
            changed = pa.concat_arrays([pa.array([77]).cast(first.type), first.slice(1)])
            pq.write_table(table.set_column(0, table.schema.field(0), changed), path)
        return paths

    monkeypatch.setattr(session, "unloaded", other)


def test_planted_damage_is_named_by_verify_and_by_the_drill(place: Place) -> None:
    load(place, chain_of(place, "orders"), [(n, "2026-01-01", "x" * n, 1) for n in range(50)])
    report = place.back_up()
    archive = place.archive()
    (table,) = (one for one in report.manifest.tables if one.label == "raw_shop.orders")
    path = place.root / "primary" / table.parts[0].key
    whole = path.read_bytes()
    assert archive.damage(report.manifest, deep=True) == []
    assert drill(archive, "latest", place.config.trial(place.root / "trial"), place.root).mismatches == ()
    (place.root / "trial").mkdir(exist_ok=True)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for planted, words in (
        (bytes(flipped), "does not match its SHA-256"),
        (whole[:-5], "bytes instead of"),
        (None, "is missing"),
    ):
        path.unlink(missing_ok=True)
        if planted is not None:
            path.write_bytes(planted)
        (line,) = archive.damage(report.manifest, deep=True)
        assert "raw_shop.orders" in line and words in line
        found = drill(archive, "latest", place.config.trial(place.root / "trial"), place.root)
        (mismatch,) = found.mismatches
        assert "raw_shop.orders" in mismatch and words in mismatch
        with pytest.raises(BackupDamaged, match=r"raw_shop\.orders"):
            restore(archive, archive.chosen("latest"), place.other, place.root)
        assert not place.other.exists(place.root), "nothing of it stays"


def test_a_fingerprint_that_the_manifest_says_wrongly_is_found_by_the_engine(place: Place) -> None:
    """The rows that were restored are counted by the engine itself, not by what sent them."""
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    manifest = place.back_up().manifest
    tables = tuple(
        replace(one, fingerprint=one.fingerprint ^ 1) if one.label == "raw_shop.orders" else one
        for one in manifest.tables
    )
    other: BackupManifest = replace(manifest, tables=tables).sealed()
    with pytest.raises(BackupDamaged, match=r"raw_shop\.orders holds 1 rows instead of 1"):
        restore(place.archive(), other, place.other, place.root)


def test_a_type_that_parquet_does_not_keep_is_named_before_anything_is_written(place: Place) -> None:
    columns, named = UNKEPT[place.name]
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    with place.open() as warehouse:
        odd = warehouse.grammar.relation("raw_shop", "odd")
        warehouse.session.define([f"CREATE TABLE {odd} ({columns})"])
    began: list[str] = []
    with pytest.raises(WarehouseError, match=named):
        place.back_up(progress=lambda table, rows: began.append(table))
    assert not began and not list((place.root / "written-00000000").iterdir())


def test_a_type_of_a_manifest_that_no_engine_told_is_not_run(place: Place) -> None:
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    manifest = place.back_up().manifest
    inventory = manifest.inventory
    (stored,) = (one for one in inventory.tables if one.name == "orders")
    columns = (replace(stored.columns[0], held="BIGINT); DROP TABLE x; --"), *stored.columns[1:])
    with (
        place.open() as warehouse,
        pytest.raises(WarehouseError, match=r"refused: the column id of raw_shop\.orders"),
    ):
        warehouse.restore(replace(inventory, tables=(replace(stored, columns=columns),)))
