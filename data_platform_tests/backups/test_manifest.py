"""A backup's manifest: what goes in comes out, and nothing else does."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

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
from data_platform.landing.part import canonical
from data_platform.warehouses.archive import StoredColumn, StoredTable

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
number = st.integers(0, 2**64 - 1)
size = st.integers(0, 2**63 - 1)
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
ID = "20261122T023000.000000Z-1f2e3d4c"
keys = st.text("abcü %-", min_size=1, max_size=8).map(f"warehouse/objects/{ID}/{{}}".format)
objects = st.builds(BackupObject, keys, size, digests, size)
types = st.sampled_from(["BIGINT", "VARCHAR[]", "ENUM('a', 'it''s')", "JSON"])
columns = st.builds(StoredColumn, text, types, st.booleans())
stored = st.builds(StoredTable, text, text, text, st.lists(columns, max_size=3).map(tuple))
tables = st.builds(BackupTable, stored, size, number, st.lists(objects, max_size=3).map(tuple))
manifests = st.builds(
    BackupManifest,
    id=st.just(ID),
    environment=text,
    created_at=text,
    engine=text,
    schemas=st.lists(text, max_size=2).map(tuple),
    tables=st.lists(tables, max_size=3).map(tuple),
    statements=st.lists(text, max_size=2).map(tuple),
    files=st.lists(st.builds(BackupFile, text, objects, st.none() | size), max_size=2).map(tuple),
    ledger=st.lists(
        st.builds(LedgerHead, st.just("shop/orders"), size, st.just("") | digests), max_size=2
    ).map(tuple),
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


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("id",), "../x"),
        (("schemas",), [1]),
        (("statements",), {"a": 1}),
        (("tables", 0, "rows"), "1"),
        (("tables", 0, "fingerprint"), 2**64),
        (("tables", 0, "table", "create"), None),
        (("tables", 0, "table", "columns", 0, "type"), "BIGINT; COPY (SELECT 1) TO 'x'"),
        (("tables", 0, "table", "columns", 0, "as_text"), "no"),
        (("tables", 0, "parts", 0, "key"), f"warehouse/objects/{ID}/../../x"),
        (("tables", 0, "parts", 0, "key"), "warehouse/objects/20261121T023000.000000Z-1f2e3d4c/x"),
        (("tables", 0, "parts", 0, "bytes"), -1),
        (("tables", 0, "parts", 0, "sha256"), "0"),
        (("files", 0, "plain_bytes"), 1.5),
        (("files", 0, "path"), 1),
        (("ledger", 0, "table"), "../../etc"),
        (("ledger", 0, "digest"), "x"),
        (("ledger", 0, "sequence"), 10**30),
    ],
)
def test_a_forged_field_is_refused_though_the_digest_is_right(
    path: tuple[str | int, ...], value: object
) -> None:
    part = BackupObject(f"warehouse/objects/{ID}/x", 1, "0" * 64, 1)
    table = StoredTable("s", "t", "CREATE TABLE s.t(a BIGINT);", (StoredColumn("a", "BIGINT", False),))
    made = BackupManifest(
        ID, "local", "now", "duckdb", ("s",), (BackupTable(table, 1, 1, (part,)),), (),
        (BackupFile("instance/x", part, 1),), (LedgerHead("shop/orders", 1, "0" * 64),),
    )  # fmt: skip
    raw = json.loads(made.sealed().to_json())
    assert BackupManifest.from_json(_again(raw), "here").id == ID
    place = raw
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(BackupDamaged, match="here cannot be read"):
        BackupManifest.from_json(_again(raw), "here")
    with pytest.raises(BackupDamaged, match="here"):
        BackupManifest.from_json(b"[" * 200_000, "here")


def _again(raw: dict[str, Any]) -> bytes:
    fields = {name: value for name, value in raw.items() if name != "digest"}
    return canonical({**fields, "digest": hashlib.sha256(canonical(fields)).hexdigest()})
