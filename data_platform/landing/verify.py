"""Verifies that landed data is unchanged, at the cost of reading new batches and a sample.

It rereads everything since the last verification, and a seeded sample of older batches. A hint
records how far the last verification came: without it, everything is verified again.
``check.py`` verifies a single batch.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from data_platform.errors import LedgerBroken
from data_platform.landing import check, hint, tail, vouching
from data_platform.landing.grammar import is_number
from data_platform.landing.ledger import Ledger
from data_platform.landing.redaction import Rewrites
from data_platform.landing.tail import Mark
from data_platform.tables import TableId

Progress = Callable[[int, int], None]
"""Called with how many batches were looked at, and of how many."""


@dataclass(frozen=True, slots=True)
class Verification:
    """``since`` is the batch up to which only a sample was looked at, ``last`` the newest one.
    ``bytes`` were hashed, in ``parts`` parts of ``manifests`` batches; all are signed from ``signed_from`` on. ``damaged``
    are the batches that have problems."""

    table: TableId
    since: int
    last: int
    manifests: int
    parts: int
    bytes: int
    seconds: float
    problems: tuple[str, ...]
    signed_from: int | None = None
    damaged: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Verified:
    """Up to which batch all was well, and its digest."""

    sequence: int = 0
    digest: str = ""
    at: str = ""


def verify(
    ledger: Ledger,
    table: TableId,
    now: datetime,
    *,
    since: int | datetime | None = None,
    sample: float = 0.05,
    seed: int = 0,
    progress: Progress | None = None,
    loaded: Mark | None = None,
) -> Verification:
    """Look at every batch after ``since`` and at ``sample`` of those before.

    ``since`` is a batch, an instant at or after which a batch was committed, or None: the last
    verification. Its word, and that of the last commit, are always held against the chain, and so is
    ``loaded``, what a warehouse says, which nobody has written who may only write to the store. Raises
    ConfigurationError when there are redactions and no key to check them with, LandingError when the
    store cannot be asked.
    """
    began = time.monotonic()
    known = recall(ledger, table)
    marks = [*_marks(ledger, table, known), *([loaded] if loaded else [])]
    problems: list[str] = []
    last = _last(ledger, table, problems)
    start = min(last, _start(ledger, table, last, since, marks, problems))
    if not start:
        problems += check.strangers(ledger, table)
    rewrites = _rewrites(ledger, table, problems)
    trusted = not problems
    older = random.Random(f"{seed}/{table}").sample(range(1, start + 1), math.ceil(sample * start))
    chosen = [*sorted(older), *range(start + 1, last + 1)]
    parts = hashed = 0
    damaged: list[int] = []
    for done, checked in enumerate(check.check(ledger, table, chosen, rewrites), 1):
        parts, hashed = parts + checked.parts, hashed + checked.bytes
        if checked.problems:
            damaged.append(checked.sequence)
            problems += checked.problems
        if progress is not None:
            progress(done, len(chosen))
    if trusted:
        _remember(ledger, table, known, start, last, damaged, now)
    unique = tuple(dict.fromkeys(problems))
    signed_from = None if unique else vouching.signed_from(ledger, table, last)
    seconds = time.monotonic() - began
    return Verification(
        table, start, last, len(chosen), parts, hashed, seconds, unique, signed_from, tuple(damaged)
    )


def sign(
    ledger: Ledger,
    table: TableId,
    now: datetime,
    *,
    progress: Progress | None = None,
    loaded: Mark | None = None,
) -> Verification:
    """Read everything and, where all is well, take a chain that is not signed as it is (``vouching.adopt``)."""
    known = (
        ledger
        if vouching.signed_from(ledger, table, ledger.last(table))
        else Ledger(ledger.store, ledger.environ)
    )
    found = verify(known, table, now, since=0, progress=progress, loaded=loaded)
    if not found.problems:
        vouching.adopt(ledger, table)
    return found


def recall(ledger: Ledger, table: TableId) -> Verified:
    """The batch up to which the last verification found no damage; batch 0 if unknown."""
    raw = hint.read(ledger.store, _key(table), ledger.signer)
    known = (
        is_number(raw.get("sequence"))
        and isinstance(raw.get("digest"), str)
        and isinstance(raw.get("at"), str)
    )
    return Verified(raw["sequence"], raw["digest"], raw["at"]) if known else Verified()


def forget(ledger: Ledger, table: TableId) -> None:
    """Accept the current end of the ledger, and forget a later one that was known."""
    ledger.store.delete(_key(table))
    tail.forget(ledger.store, table)


def contradictions(ledger: Ledger, table: TableId) -> list[str]:
    """What the ledger held once and no longer does: a tail that was lost, a chain in the place of another.
    Without it both would look whole. LedgerBroken where a manifest or a stranger is in the way."""
    marks = _marks(ledger, table, recall(ledger, table))
    return _contradictions(ledger, table, ledger.last(table), marks)


def _marks(ledger: Ledger, table: TableId, known: Verified) -> list[Mark]:
    """The newest batch that was verified, and that was committed. Read before the head, which only grows."""
    verified = Mark(known.sequence, known.digest, f"was verified on {known.at}")
    return [verified, tail.recall(ledger.store, table, ledger.signer)]


def _contradictions(ledger: Ledger, table: TableId, last: int, marks: Sequence[Mark]) -> list[str]:
    found, digests = [], dict[int, str]()
    farthest = max(marks, key=lambda mark: mark.sequence)
    if farthest.sequence > last:
        found.append(tail.lost(table, ledger.store.url, last, farthest))
    for mark in marks:
        if 0 < mark.sequence <= last:
            if mark.sequence not in digests:
                digests[mark.sequence] = ledger.read(table, mark.sequence).digest
            if digests[mark.sequence] != mark.digest:
                found.append(tail.replaced(table, mark))
    return found


def _last(ledger: Ledger, table: TableId, problems: list[str]) -> int:
    try:
        return ledger.last(table)
    except LedgerBroken as error:  # a stranger among the manifests
        problems.append(str(error))
        return 0


def _rewrites(ledger: Ledger, table: TableId, problems: list[str]) -> Rewrites:
    try:
        return ledger.rewrites(table)
    except LedgerBroken as error:
        problems.append(str(error))
        return Rewrites()


def _start(
    ledger: Ledger,
    table: TableId,
    last: int,
    since: int | datetime | None,
    marks: Sequence[Mark],
    problems: list[str],
) -> int:
    """The last batch of which a sample is enough."""
    verified = marks[0].sequence
    if not problems:
        try:
            problems += _contradictions(ledger, table, last, marks)
        except LedgerBroken as error:
            problems.append(str(error))
    if isinstance(since, datetime):
        return _before(ledger, table, last, since)
    if since is not None:
        return since
    if verified > last:
        return last
    return 0 if problems else verified


def _before(ledger: Ledger, table: TableId, last: int, instant: datetime) -> int:
    """The last batch committed before ``instant``, by halving: their instants ascend."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        try:
            batch = ledger.read(table, middle)
            at = batch.redaction.at if batch.redaction else batch.committed_at
            earlier = datetime.fromisoformat(at) < instant
        except LedgerBroken:
            earlier = False  # looked at rather than left out
        low, high = (middle, high) if earlier else (low, middle - 1)
    return low


def _remember(
    ledger: Ledger, table: TableId, known: Verified, start: int, last: int, damaged: list[int], now: datetime
) -> None:
    """Move the hint to what is known to be whole now: forward over what was looked at without a gap,
    and back before damage, so that it is looked at again until it is mended."""
    reached = last if start <= known.sequence else known.sequence
    if damaged:
        reached = min(reached, min(damaged) - 1)
    if start > known.sequence == reached:
        return
    digest = ""
    if reached > 0:
        try:
            digest = ledger.read(table, reached).digest
        except LedgerBroken:
            reached = 0
    if reached > 0 or known.sequence:
        at = now.isoformat(timespec="seconds")
        hint.write(
            ledger.store,
            _key(table),
            {"sequence": max(reached, 0), "digest": digest, "at": at},
            ledger.signer,
        )


def _key(table: TableId) -> str:
    return f"{table}/verified.json"
