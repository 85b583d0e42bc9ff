"""Redactions for tests: plausible ones, arbitrary ones, and one in a ledger."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import strategies as st

from data_platform.landing.keys import part_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part
from data_platform.landing.redaction import KEY_VARIABLE, Redaction, Rewritten
from data_platform.stores.local import LocalStore
from data_platform_tests.conftest import REDACTION_KEY as KEY
from data_platform_tests.contracts.batches import TABLE, manifest, part_of

ENVIRON = {KEY_VARIABLE: KEY}
AT = "2026-02-01T00:00:00+00:00"
NONCE = "rrrrrrrr" * 4


def part(key: str, rows: int = 1) -> Part:
    return Part(key, rows, 10, hashlib.sha256(key.encode()).hexdigest())


def redaction(*parts: Rewritten, **changes: str) -> Redaction:
    words = {"reason": "request 12", "authorised_by": "dpo@example.com", "at": AT} | changes
    return Redaction(parts or (Rewritten(1, 0, part("old"), part("new", 0)),), **words)


def _rewritten(n: int, numbers: tuple[int, int, int, int]) -> Rewritten:
    sequence, index, rows, erased = numbers
    old, new = part(f"old-{n}", rows + erased), part(f"new-{n}", rows)
    return Rewritten(sequence, index, old, new)


small = st.integers(0, 99)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
arbitrary = st.builds(
    Redaction,
    parts=st.lists(st.tuples(st.integers(1, 99), small, small, small), min_size=1, max_size=4).map(
        lambda found: tuple(_rewritten(n, numbers) for n, numbers in enumerate(found))
    ),
    reason=words,
    authorised_by=words,
    at=st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    signature=words,
)


def put_part(store: LocalStore, key: str, content: bytes, rows: int = 1) -> Part:
    with store.scratch() as folder:
        path = folder / "part"
        path.write_bytes(content)
        made = part_of(path, key, rows)
        store.put_file(key, path)
    return made


def land(ledger: Ledger, parts: int = 2, **changes: object) -> Manifest:
    """A batch of ``parts`` parts of two rows each."""
    assert isinstance(ledger.store, LocalStore)
    head = ledger.head(TABLE)
    sequence = head.sequence + 1 if head else 1
    nonce = f"{sequence:08d}" * 4
    made = tuple(
        put_part(ledger.store, part_key(TABLE, sequence, nonce, n), f"rows {sequence}.{n}".encode() * 9, 2)
        for n in range(parts)
    )
    return ledger.commit(
        manifest(
            sequence,
            rows=2 * parts,
            **{"parts": made, "nonce": nonce, "previous": head.digest if head else None, **changes},
        )
    )


def rewrite(ledger: Ledger, sequence: int, index: int = 0, *, old: Part | None = None) -> Rewritten:
    """The new part of one row, put where the next batch's parts go."""
    assert isinstance(ledger.store, LocalStore)
    head = ledger.head(TABLE)
    assert head is not None
    standing = old or ledger.read(TABLE, sequence).parts[index]
    key = part_key(TABLE, head.sequence + 1, NONCE, 10 * sequence + index)
    return Rewritten(sequence, index, standing, put_part(ledger.store, key, b"one row is left", 1))


def redact(ledger: Ledger, sequence: int, index: int = 0, *, old: Part | None = None) -> Manifest:
    """A committed redaction of one part, whose old object is removed after it."""
    head = ledger.head(TABLE)
    assert head is not None
    part = rewrite(ledger, sequence, index, old=old)
    done = ledger.redact(head, redaction(part), NONCE)
    ledger.store.delete(part.old.key)
    return done


def file_of(ledger: Ledger, key: str) -> Path:
    assert isinstance(ledger.store, LocalStore)
    return ledger.store.path / key
