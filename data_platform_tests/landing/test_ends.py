"""The newest manifests of many tables, asked of a bucket together: fewer rounds, the same answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from data_platform.errors import DataPlatformError, LedgerBroken
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.state import CHECKPOINT_EVERY
from data_platform.stores.local import LocalStore
from data_platform.tables import Slice, TableId
from data_platform_tests.contracts.batches import manifest

T = TypeVar("T")
TABLES = [TableId("shop", f"table_{number}") for number in range(2 * CHECKPOINT_EVERY)]


class Bucket(LocalStore):
    """As a bucket is: it is asked for many at once. It counts requests, and rounds of them."""

    requests_at_once = 10

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.requests: list[str] = []
        self.rounds = 0

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        before = len(self.requests)
        answers = super().together(calls)
        self.rounds += len(self.requests) > before
        return answers

    def read(self, key: str) -> bytes:
        self.requests.append(key)
        return super().read(key)

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        self.requests.append(prefix)
        return super().list(prefix, limit)


@pytest.fixture
def store(tmp_path: Path) -> Bucket:
    """Tables with as many batches as their number: the first has none."""
    plain = Ledger(LocalStore(tmp_path))
    for batches, table in enumerate(TABLES):
        for sequence in range(1, batches + 1):
            state = plain.state(table)
            touched = {Slice(f"2026-01-{sequence:02d}"): sequence}
            plain.commit(manifest(sequence, table=table, previous=state.digest, touched=touched))
    return Bucket(tmp_path)


def test_states_are_the_ones_read_one_by_one(store: Bucket, tmp_path: Path) -> None:
    plain = Ledger(LocalStore(tmp_path))
    found = {table: ledger.state(table) for ledger, table in Ledger(store).ahead_of(TABLES, states=True)}
    assert found == {table: plain.state(table) for table in TABLES}
    assert list(found) == TABLES


def test_a_thousand_tables_would_wait_for_three_rounds_and_no_table_for_a_request_of_its_own(
    store: Bucket,
) -> None:
    for ledger, table in Ledger(store).ahead_of(TABLES, states=True):
        before = len(store.requests)
        ledger.state(table)
        # a table that has no batch has nothing to hold; nothing else is asked for again
        assert len(store.requests) == before
    assert store.rounds == 3
    assert len(store.requests) == len(set(store.requests)), "nothing is read twice"


def test_heads_alone_take_two_rounds(store: Bucket) -> None:
    for ledger, table in Ledger(store).ahead_of(TABLES, states=False):
        ledger.head(table)
    assert store.rounds == 2 and len(store.requests) == 2 * len(TABLES) - 1


def test_what_is_committed_later_is_seen_by_the_ledger_itself(store: Bucket) -> None:
    ledger = Ledger(store)
    [(looking, table), *_] = list(ledger.ahead_of(TABLES[1:3], states=True))
    head = looking.head(table)
    assert head is not None
    made = ledger.commit(manifest(head.sequence + 1, table=table, previous=head.digest))
    assert ledger.head(table) == made
    assert looking.head(table) == head, "one look"


def test_a_broken_chain_is_its_own_table_s_error(store: Bucket) -> None:
    broken = TABLES[5]
    Path(store.path, manifest_key(broken, 5)).write_bytes(b"{}")
    seen: dict[TableId, object] = {}
    for ledger, table in Ledger(store).ahead_of(TABLES, states=True):
        try:
            seen[table] = ledger.state(table).head
        except DataPlatformError as error:
            seen[table] = type(error)
    assert [table for table in TABLES if seen[table] is LedgerBroken] == [broken]


def test_one_table_and_a_local_store_are_read_as_ever(store: Bucket, tmp_path: Path) -> None:
    [(ledger, table)] = list(Ledger(store).ahead_of(TABLES[3:4], states=True))
    assert store.requests == [] and ledger.state(table).next_sequence == 4
