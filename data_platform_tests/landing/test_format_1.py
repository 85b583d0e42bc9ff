"""Chains whose first batches are of format 1: the very bytes that the code of that time wrote (``format_1/``).

There ``shop/orders`` has ten batches (a whole read, changes, a slice, one without rows, a checkpoint, a redaction of
the slice's part), signed from the fourth on; ``shop/totals`` is a view that is read by its cursor.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import LedgerBroken
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import FORMAT, Manifest
from data_platform.landing.part import canonical
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.landing.signing import Signer, SigningConfig
from data_platform.landing.stored_parts import open_parts
from data_platform.landing.verify import verify
from data_platform.sources.postgres.identity import Identity, identity
from data_platform.sources.postgres.position import Watermark, watermark
from data_platform.stores.local import LocalStore
from data_platform.tables import WHOLE_TABLE, Fingerprint, Slice, Snapshot, TableId
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.batches import manifest, position
from data_platform_tests.landing.redactions import KEY

WRITTEN = Path(__file__).parent / "format_1"
ORDERS, TOTALS = TableId("shop", "orders"), TableId("shop", "totals")
NOW = datetime(2026, 2, 1, tzinfo=UTC)
SIGNER = Signer.of(
    SigningConfig(key_env="KEY"), "local", {"KEY": "first key of a test, long enough to be taken"}
)
SYSTEM = "7388123000000000001/16384"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    shutil.copytree(WRITTEN, tmp_path / "landing")
    return Ledger(LocalStore(tmp_path / "landing"), {KEY_VARIABLE: KEY}, SIGNER)


def grow(ledger: Ledger, batches: int, **changes: Any) -> Iterator[Manifest]:
    for _ in range(batches):
        head = ledger.head(ORDERS)
        assert head is not None
        follows = {
            "previous": head.digest,
            "position_before": head.position_after,
            "redacted_before": head.last_redaction,
        }
        yield ledger.commit(manifest(head.sequence + 1, **(follows | changes)))


def test_a_chain_of_format_1_verifies(ledger: Ledger) -> None:
    for table, batches in ((ORDERS, 10), (TOTALS, 2)):
        found = verify(ledger, table, NOW)
        assert (found.problems, found.manifests, found.last) == ((), batches, batches)


def test_its_bytes_are_those_that_were_written(ledger: Ledger) -> None:
    """A digest is over the bytes: what is made of them does not change it."""
    for sequence in range(1, 11):
        raw = json.loads(ledger.store.read(manifest_key(ORDERS, sequence)))
        read = ledger.read(ORDERS, sequence)
        assert (read.format, read.digest, read.written_by) == (1, raw["digest"], "")
        with pytest.raises(ValueError, match="earlier format"):
            read.to_json()


def test_it_says_in_the_new_words_what_it_said(ledger: Ledger) -> None:
    head = ledger.state(ORDERS).head
    assert head is not None and head.position_after is not None
    assert head.snapshot == Snapshot(f"{SYSTEM}@3", "800:803:801", "2026-01-20T00:00:00.000000+00:00")
    assert watermark(ORDERS, head.position_after) == Watermark(
        SYSTEM, 3, 800, "2026-01-20T00:00:00.000000+00:00"
    )
    assert head.position_after.text == "xmin 800, clock 2026-01-20 00:00:00"
    columns = {"id": 1, "at": 2, "note": 3, "mood": 5}
    assert identity(ORDERS, head.identity) == Identity(
        16401, 16420, (), columns, {"mood": ("0a1b2c3d4e5f", "5f4e3d2c1b0a")}
    )
    assert (head.version, head.deleted) == ("_source_xmin", None)
    view = ledger.state(TOTALS).position
    assert view is not None and view.text == "cursor 2026-01-03 10:00:00+00"
    assert watermark(TOTALS, view) == Watermark(SYSTEM, 3, None, None, "2026-01-03 10:00:00+00")


def test_what_the_source_writes_now_means_the_same(ledger: Ledger) -> None:
    """A position or an identity that was written then equals today's of the same numbers: no table is read anew."""
    for table in (ORDERS, TOTALS):
        head = ledger.head(table)
        assert head is not None
        mark, relation = watermark(table, head.position_after), identity(table, head.identity)
        assert mark is not None and mark.to_position() == head.position_after
        assert relation is not None and relation.to_json() == head.identity


def test_the_state_is_folded_as_before(ledger: Ledger) -> None:
    state = ledger.state(ORDERS)
    assert {slice_: (m.fingerprint, m.sequence) for slice_, m in state.measured.items()} == {
        Slice("2026-01-01"): (Fingerprint(2, 10**15 + 2), 1),
        Slice("2026-01-02"): (Fingerprint(1, 3 * 10**15 + 1), 3),
        Slice("2026-01-04"): (Fingerprint(2, 6 * 10**15 + 2), 6),
        Slice("null"): (Fingerprint(1, 10**15 + 1), 1),
    }
    assert (state.measured_whole_at, ledger.state(TOTALS).measured_whole_at) == (1, 1)


def test_both_formats_in_one_chain_verify_and_fold(ledger: Ledger) -> None:
    made = list(
        grow(ledger, 9, position_after=position(1), touched={WHOLE_TABLE: 1})
    )  # over a checkpoint, the 16th
    assert [m.format for m in made] == [FORMAT] * 9
    assert ledger.read(ORDERS, 10).format == 1
    found = verify(ledger, ORDERS, NOW)
    assert (found.problems, found.manifests) == ((), 19)
    state = ledger.state(ORDERS)
    assert state.position == position(1)
    assert state.measured[Slice("null")].sequence == 1
    checkpoint = ledger.read(ORDERS, 16).checkpoint
    assert checkpoint is not None and checkpoint[Slice("2026-01-04")].sequence == 6
    assert [m.sequence for m in ledger.redactions(ORDERS)] == [9]


def test_a_redaction_after_it_is_of_the_new_format(ledger: Ledger) -> None:
    from data_platform_tests.landing.redactions import redact

    done = redact(ledger, 8)
    assert (done.format, done.sequence, done.redacted_before) == (FORMAT, 11, 9)
    assert done.position_after == ledger.read(ORDERS, 10).position_after
    assert [m.sequence for m in ledger.redactions(ORDERS)] == [9, 11]
    assert verify(ledger, ORDERS, NOW).problems == ()


def test_it_loads_together_with_what_comes_after_it(ledger: Ledger, tmp_path: Path) -> None:
    list(grow(ledger, 1))
    config = DuckDBConfig(path=tmp_path / "warehouse.duckdb")
    with config.open(tmp_path, files=[tmp_path / "landing"]) as warehouse:
        for batch in ledger.pending(ORDERS, 0):
            with open_parts(ledger, batch) as parts:
                warehouse.load(batch, parts)
        rows = warehouse.query("SELECT id, note FROM raw_shop.orders ORDER BY id").rows
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13]  # 11 was redacted
    assert dict(rows)[1] == "changed" and dict(rows)[10] == "slice"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("watermark_after", {"xmin": "%s'::xid) or true --"}),
        ("watermark_after", {"xmin": -1}),
        ("watermark_after", {"horizon": "x"}),
        ("watermark_before", {"cursor": 7}),
        ("watermark_before", {"timeline": None}),
        ("watermark_before", {"system_identifier": 7}),
        ("snapshot", {"xmin": "%s'::xid) or true --"}),
        ("snapshot", {"taken_at": "x"}),
        ("relation", {"storage": "x"}),
        ("relation", {"leaves": 7}),
    ],
)
def test_a_forged_field_of_format_1_is_refused_though_its_digest_is_right(
    ledger: Ledger, field: str, value: dict[str, Any]
) -> None:
    raw = json.loads(ledger.store.read(manifest_key(ORDERS, 10)))
    del raw["digest"], raw["signature"]
    raw[field] |= value
    forged = canonical({**raw, "digest": hashlib.sha256(canonical(raw)).hexdigest()})
    with pytest.raises(LedgerBroken, match="the/forged/one cannot be read"):
        Manifest.from_json(forged, "the/forged/one")
