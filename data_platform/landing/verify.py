"""Whether what was landed is still what was written, at the cost of what is new and a sample.

Everything since the last verification is read again, and of what was verified before a seeded
sample. How far that was stands in a hint: losing it costs a whole verification, nothing else.
What one batch must satisfy is ``ledger.py``'s.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from data_platform.errors import LedgerBroken
from data_platform.landing.ledger import Ledger
from data_platform.landing.redaction import Rewrites
from data_platform.tables import TableId

Progress = Callable[[int, int], None]
"""Called with how many batches were looked at, and of how many."""


@dataclass(frozen=True, slots=True)
class Verification:
    """``since`` is the batch up to which only a sample was looked at, ``last`` the newest one.
    ``bytes`` were hashed, in ``parts`` parts of ``manifests`` batches."""

    table: TableId
    since: int
    last: int
    manifests: int
    parts: int
    bytes: int
    seconds: float
    problems: tuple[str, ...]


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
) -> Verification:
    """Look at every batch after ``since`` and at ``sample`` of those before.

    ``since`` is a batch, an instant at or after which a batch was committed, or None: the last
    verification, whose word is then held against the chain. Raises ConfigurationError when there
    are redactions and no key to check them with, LandingError when the store cannot be asked.
    """
    began = time.monotonic()
    known = recall(ledger, table)
    problems: list[str] = []
    last = _last(ledger, table, problems)
    start = min(last, _start(ledger, table, last, since, known, problems))
    rewrites = _rewrites(ledger, table, problems)
    trusted = not problems
    older = random.Random(f"{seed}/{table}").sample(range(1, start + 1), math.ceil(sample * start))
    chosen = [*sorted(older), *range(start + 1, last + 1)]
    parts = hashed = 0
    damaged: list[int] = []
    for done, checked in enumerate(ledger.check(table, chosen, rewrites), 1):
        parts, hashed = parts + checked.parts, hashed + checked.bytes
        if checked.problems:
            damaged.append(checked.sequence)
            problems += checked.problems
        if progress is not None:
            progress(done, len(chosen))
    if trusted:
        _remember(ledger, table, known, start, last, damaged, now)
    seconds = time.monotonic() - began
    unique = tuple(dict.fromkeys(problems))
    return Verification(table, start, last, len(chosen), parts, hashed, seconds, unique)


def recall(ledger: Ledger, table: TableId) -> Verified:
    """How far the last verification found all well; batch 0 when nothing tells."""
    try:
        raw = json.loads(ledger.store.read(_key(table)))
        known = Verified(int(raw["sequence"]), str(raw["digest"]), str(raw["at"]))
    except (KeyError, ValueError, TypeError):
        return Verified()
    return known if known.sequence > 0 else Verified()


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
    known: Verified,
    problems: list[str],
) -> int:
    """The last batch of which a sample is enough."""
    if isinstance(since, datetime):
        return _before(ledger, table, last, since)
    if since is not None:
        return since
    if not known.sequence:
        return 0
    if known.sequence > last:
        problems.append(
            f"The ledger of {table} in {ledger.store.url} ends at batch {last}, though batch {known.sequence}"
            f" was verified on {known.at}: its newest manifests are lost. Restore them from a copy of the"
            f" landing store, or accept the loss with `verify {table} --since 0`."
        )
        return last
    try:
        if ledger.read(table, known.sequence).digest == known.digest:
            return known.sequence
        problems.append(
            f"Batch {known.sequence} of {table} is not the one that was verified on {known.at}: its manifest"
            " was replaced since. Restore the manifests of this table from a copy of the landing store, or"
            f" take what is there with `verify {table} --since 0`."
        )
    except LedgerBroken as error:
        problems.append(str(error))
    return 0


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
        hint = {"sequence": max(reached, 0), "digest": digest, "at": now.isoformat(timespec="seconds")}
        ledger.store.put_hint(_key(table), json.dumps(hint).encode())


def _key(table: TableId) -> str:
    return f"{table}/verified.json"
