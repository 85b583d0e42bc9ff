"""Landed tables as the inputs of a computation: what stands now, verified; a place in the bucket for what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.errors import PartDamaged
from data_platform.landing.inputs import OUTBOXES, LedgerInputs
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Part
from data_platform.landing.part import sha256_of
from data_platform.stores import Store
from data_platform.stores.local import LocalStore
from data_platform.stores.s3.store import S3Store
from data_platform.tables import TableId
from data_platform_tests.contracts.batches import COLUMNS, TABLE, manifest, write_part


def land(ledger: Ledger, load: str, note: str) -> str:
    """A batch of one row; the key of its part."""
    head = ledger.head(TABLE)
    sequence = head.sequence + 1 if head else 1
    key = f"{TABLE}/batches/{sequence:08d}-00000000/part-0000.parquet"
    with ledger.store.scratch() as folder:
        path = write_part(folder / "part.parquet", COLUMNS, [(1, "2026-01-01", note, 1)])
        part = Part(key, 1, path.stat().st_size, sha256_of(path))
        ledger.store.put_file(key, path)
    ledger.commit(manifest(sequence, load, 1, parts=(part,), previous=head.digest if head else None))  # type: ignore[arg-type]
    return key


def test_a_table_is_its_batches_from_the_last_whole_one_on(tmp_path: Path) -> None:
    ledger = Ledger(LocalStore(tmp_path / "landing"))
    inputs = LedgerInputs(ledger)
    assert inputs.head(TABLE) is None and not inputs.in_bucket()
    for load in ("replace", "merge", "replace", "merge", "append"):
        land(ledger, load, load)
    head = inputs.head(TABLE)
    assert head is not None and head.sequence == 5
    with inputs.landed(TABLE, in_bucket=False) as landed:
        assert landed.head == head and landed.key == ("id",)
        assert [(one.sequence, one.load, one.rows) for one in landed.batches] == [
            (3, "replace", 1),
            (4, "merge", 1),
            (5, "append", 1),
        ]
        assert all(Path(file).is_file() for one in landed.batches for file in one.files)


def test_a_part_that_was_altered_is_found_before_anything_reads_it(tmp_path: Path) -> None:
    ledger = Ledger(LocalStore(tmp_path / "landing"))
    path = tmp_path / "landing" / land(ledger, "replace", "a")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(PartDamaged, match="SHA-256"), LedgerInputs(ledger).landed(TABLE, in_bucket=False):
        pass


@pytest.mark.slow
def test_in_a_bucket_parts_have_addresses_and_results_a_place_that_is_emptied(
    s3_store: S3Store, tmp_path: Path
) -> None:
    ledger = Ledger(s3_store)
    inputs, key = LedgerInputs(ledger), land(ledger, "replace", "a")
    assert inputs.in_bucket()
    with inputs.landed(TABLE, in_bucket=True) as landed:
        assert [one.files for one in landed.batches] == [(s3_store.address(key),)]
    store: Store = s3_store
    with inputs.outbox() as box:
        prefix = box.address.removeprefix(str(s3_store.address(OUTBOXES))).strip("/")
        for name in ("part-1.parquet", "part-0.parquet", "_SUCCESS"):
            assert store.put_new(f"{OUTBOXES}/{prefix}/{name}", name.encode())
        assert [path.read_text() for path in box.files(tmp_path)] == ["part-0.parquet", "part-1.parquet"]
    assert store.list(OUTBOXES) == []
    store.delete(key)
    with pytest.raises(PartDamaged, match="is missing"), inputs.landed(TABLE, in_bucket=True):
        pass


def test_no_source_can_have_the_name_of_the_place() -> None:
    with pytest.raises(ValueError):
        TableId.parse(OUTBOXES)
    assert OUTBOXES.startswith("_"), "a source's name begins with a letter"
