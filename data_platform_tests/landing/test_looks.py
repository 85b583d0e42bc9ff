"""When tables were looked at last: together in one object, alone in their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.landing.ledger import Ledger
from data_platform.landing.signing import Signer
from data_platform.stores.local import LocalStore
from data_platform.tables import TableId

TABLES = [TableId("shop", f"table_{number}") for number in range(300)]
EARLIER, AT, LATER = (f"2026-01-01T0{hour}:00:00.000000+00:00" for hour in range(3))


class Counting(LocalStore):
    """Counts what it is asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads = self.writes = 0

    def read(self, key: str) -> bytes:
        self.reads += 1
        return super().read(key)

    def put_hint(self, key: str, data: bytes) -> None:
        self.writes += 1
        super().put_hint(key, data)


def test_tables_that_are_looked_at_together_share_one_object(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    ledger = Ledger(store)
    ledger.looked(TABLES, AT)
    assert (store.reads, store.writes) == (1, 1)
    ledger.looked([*TABLES[:200], TableId("crm", "person")], LATER)
    assert (store.reads, store.writes) == (3, 3), "one of each source"
    looks = Ledger(store).looks()
    assert [looks.last(table) for table in TABLES] == [LATER] * 200 + [AT] * 100
    assert store.reads == 3 + 1 + len(TABLES)
    assert looks.last(TableId("crm", "person")) == LATER
    assert looks.last(TableId("crm", "company")) is None


@pytest.mark.parametrize("own", [EARLIER, LATER])
def test_the_later_look_counts_however_it_was_remembered(tmp_path: Path, own: str) -> None:
    ledger = Ledger(LocalStore(tmp_path))
    ledger.looked([TABLES[0]], own)
    ledger.looked(TABLES, AT)
    assert ledger.looks().last(TABLES[0]) == max(own, AT)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"[]", b'{"looked_at":{"table_0":"%s"},"seal":""}' % AT.encode(), b"\xff"],
    ids=["empty", "cut", "a list", "forged", "no text"],
)
def test_a_damaged_one_costs_nothing_but_the_look(tmp_path: Path, damaged: bytes) -> None:
    store = LocalStore(tmp_path)
    ledger = Ledger(store)
    ledger.looked(TABLES, AT)
    store.put_hint("shop/looked.json", damaged)
    assert ledger.looks().last(TABLES[0]) is None
    ledger.looked(TABLES, LATER)
    assert ledger.looks().last(TABLES[0]) == LATER


def test_what_is_no_instant_is_passed_over(tmp_path: Path) -> None:
    ledger = Ledger(LocalStore(tmp_path))
    ledger.looked(TABLES[:10], "yesterday")
    ledger.looked([TABLES[11]], "2026-01-01")
    assert {ledger.looks().last(table) for table in TABLES[:12]} == {None}


def test_it_is_signed_where_manifests_are(tmp_path: Path) -> None:
    signed = Ledger(LocalStore(tmp_path), {}, Signer("KEY", (b"k" * 32,)))
    signed.looked(TABLES, AT)
    assert signed.looks().last(TABLES[5]) == AT
    Ledger(LocalStore(tmp_path)).looked(TABLES, LATER)  # whoever has no key
    assert signed.looks().last(TABLES[5]) is None
