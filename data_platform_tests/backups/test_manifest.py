"""A backup's manifest: what goes in comes out, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.backups.manifest import (
    BackupFile,
    BackupManifest,
    BackupObject,
    BackupTable,
    LedgerHead,
    backup_id,
    is_id,
    made_at,
    made_on,
)
from data_platform.errors import BackupDamaged
from data_platform.warehouses import StoredColumn, StoredTable

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
number = st.integers(0, 2**64 - 1)
objects = st.builds(BackupObject, text, number, text, number)
columns = st.builds(StoredColumn, text, text, st.booleans())
stored = st.builds(StoredTable, text, text, text, st.lists(columns, max_size=3).map(tuple))
tables = st.builds(BackupTable, stored, number, number, st.lists(objects, max_size=3).map(tuple))
manifests = st.builds(
    BackupManifest,
    id=text,
    environment=text,
    created_at=text,
    engine=text,
    schemas=st.lists(text, max_size=2).map(tuple),
    tables=st.lists(tables, max_size=3).map(tuple),
    statements=st.lists(text, max_size=2).map(tuple),
    files=st.lists(st.builds(BackupFile, text, objects), max_size=2).map(tuple),
    ledger=st.lists(st.builds(LedgerHead, text, number, text), max_size=2).map(tuple),
    format=st.just(1),
    digest=st.just(""),
)


@given(manifests)
def test_what_is_written_is_read(manifest: BackupManifest) -> None:
    sealed = manifest.sealed()
    assert BackupManifest.from_json(sealed.to_json(), "here") == sealed


@given(manifests, st.data())
def test_any_flipped_bit_or_lost_byte_is_refused(manifest: BackupManifest, data: st.DataObject) -> None:
    written = manifest.sealed().to_json()
    place = data.draw(st.integers(0, len(written) - 1))
    flipped = bytearray(written)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), written[:place]):
        with pytest.raises(BackupDamaged, match="here"):
            BackupManifest.from_json(damaged, "here")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)),
    st.timedeltas(timedelta(microseconds=1), timedelta(99)),
)
def test_ids_sort_by_time_and_tell_it(at: datetime, later: timedelta) -> None:
    at = at.replace(tzinfo=UTC)
    first, second = backup_id(at, "ffffffff"), backup_id(at + later, "00000000")
    assert first < second
    assert made_at(first) == at and made_on(first) == at.date().isoformat()
    assert is_id(first) and not is_id("readme") and not is_id("")
