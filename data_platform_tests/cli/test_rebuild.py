"""``rebuild`` as a person types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from data_platform.landing.keys import manifest_key, part_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.stores.local import LocalStore
from data_platform_tests.contracts.batches import COLUMNS, TABLE, manifest, part_of, write_part

from .conftest import Result

Cli = Callable[..., Result]
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def land(ledger: Ledger, head: Manifest | None, day: int, note: str) -> Manifest:
    """Two orders, of which the second is the day's own."""
    sequence = head.sequence + 1 if head else 1
    made = manifest(sequence, "replace" if head is None else "merge", rows=2)
    key = part_key(TABLE, sequence, made.nonce)
    with ledger.store.scratch() as folder:
        rows = [(n, "2026-01-05 12:00:00+00", note, 700 + sequence) for n in (1, sequence + 1)]
        path = write_part(folder / "part", COLUMNS, rows)
        part = part_of(path, key, 2)
        ledger.store.put_file(key, path)
    at = f"2026-02-0{day}T12:00:00+00:00"
    previous = head.digest if head else None
    return ledger.commit(manifest(sequence, made.load, 2, parts=(part,), previous=previous, committed_at=at))


@pytest.fixture
def landed(project: Path) -> Ledger:
    """Three batches of shop/orders, at noon of three days in February."""
    ledger = Ledger(LocalStore(project / ".data" / "landing"))
    head = None
    for day, note in enumerate(("first", "second", "third"), 1):
        head = land(ledger, head, day, note)
    return ledger


def notes(file: str) -> list[tuple[int, str]]:
    with duckdb.connect(file, read_only=True) as connection:
        return connection.execute("select id, note from raw_shop.orders order by id").fetchall()


@pytest.mark.usefixtures("landed")
def test_the_tables_of_now_and_of_then(cli: Cli) -> None:
    now = cli("rebuild", "--into", "now.duckdb")
    assert now.code == 0, now.err
    assert "shop/orders: 4 rows as of 2026-02-03T12:00:00+00:00, from 3 batches up to 3" in now.out
    assert "crm/contacts: nothing has landed yet" in now.out
    assert "now.duckdb holds 1 raw table as of the newest batch of each: 4 rows." in now.err
    assert notes("now.duckdb") == [(1, "third"), (2, "first"), (3, "second"), (4, "third")]
    then = cli("rebuild", "--into", "then.duckdb", "--at", "2026-02-02T13:00:00+01:00")
    assert "as of 2026-02-02T12:00:00+00:00, from 2 batches up to 2" in then.out
    assert notes("then.duckdb") == [(1, "second"), (2, "first"), (3, "second")]
    before = cli("rebuild", "--into", "before.duckdb", "--at", "2026-02-01T11:59:59Z")
    assert before.code == 0
    assert (
        "shop/orders: nothing had landed by then; its first batch was committed at 2026-02-01T12:00:00+00:00"
        in before.out
    )


@pytest.mark.usefixtures("landed")
def test_json_has_the_documented_keys(cli: Cli) -> None:
    words = ("--at", "2026-02-02T12:00:00Z", "--table", "shop/orders", "--json")
    document = json.loads(cli("rebuild", "--into", "new.duckdb", *words).out)
    (table,) = document["tables"]
    assert (document["ok"], document["into"], document["at"]) == (
        True,
        "new.duckdb",
        "2026-02-02T12:00:00+00:00",
    )
    assert (table["table"], table["batches"], table["first_sequence"], table["last_sequence"]) == (
        "shop/orders", 2, 1, 2,
    )  # fmt: skip
    assert (table["rows"], table["last_at"], table["begins_at"]) == (3, "2026-02-02T12:00:00+00:00", None)
    section = DOCS.read_text().partition("## `data-platform rebuild`")[2].partition("\n## ")[0]
    for key in [*document, *table]:
        assert re.search(rf"`{key}`", section), key


@pytest.mark.usefixtures("landed")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--at", "2026-02-02"), 2, "not an instant with a time zone"),
        (("--at", "2026-02-02T12:00:00"), 2, "not an instant with a time zone"),
        (("--at", "yesterday"), 2, "not an instant with a time zone"),
        (("--at", "9999-01-01T00:00:00Z"), 2, "is in the future"),
        (("--table", "orders"), 2, "not of the form source/table"),
        (("--table", "shop/nothing"), 2, "no batch of shop/nothing"),
    ],
)
def test_what_is_not_clear_is_refused(cli: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    refused = cli("rebuild", "--into", "new.duckdb", *words)
    assert refused.code == code
    assert said in re.sub(r"[\s│]+", " ", refused.err)
    assert not Path("new.duckdb").exists()


def test_damage_and_an_existing_file_end_it(landed: Ledger, cli: Cli) -> None:
    assert cli("rebuild", "--into", "new.duckdb").code == 0
    again = cli("rebuild", "--into", "new.duckdb")
    assert again.code == 5 and "--replace" in again.err
    with landed.store.local(landed.read(TABLE, 2).parts[0].key) as path:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    damaged = cli("rebuild", "--into", "new.duckdb", "--replace", "--json")
    error = json.loads(damaged.out)["error"]
    assert (damaged.code, error["type"]) == (4, "PartDamaged")
    assert "part-0000.parquet of batch 2 of shop/orders" in error["message"]
    assert len(notes("new.duckdb")) == 4, "what was there is still there"


def test_a_lost_tail_is_said_until_it_is_accepted(landed: Ledger, cli: Cli) -> None:
    landed.store.delete(manifest_key(TABLE, 3))
    for words in (("rebuild", "--into", "new.duckdb"), ("verify",), ("verify", "--since", "0")):
        said = cli(*words)
        assert said.code in (1, 4) and "ends at batch 2, though batch 3 was committed" in said.err
    assert cli("verify", "--accept-loss").code == 2, "only of tables that are named"
    assert cli("verify", "shop/orders", "--accept-loss").code == 0
    assert cli("rebuild", "--into", "new.duckdb").code == 0
    assert len(notes("new.duckdb")) == 3
