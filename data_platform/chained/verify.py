"""Verifies a log: truncated, reordered, edited, put in between, back-dated. The cost is that of what is new, and a sample.

A chain cannot show by itself that its end is missing, or that somebody wrote it again from some block on. The marks do:
the hints beside the log, and the heads and the copy in other stores.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from data_platform.chained import copies
from data_platform.chained.block import Block
from data_platform.chained.log import Log, Mark
from data_platform.errors import LedgerBroken
from data_platform.stores import Store

SKEW = timedelta(minutes=5)
"""Clocks of two machines may differ by so much."""


@dataclass(frozen=True, slots=True)
class Verification:
    """``blocks`` were read, of ``last`` blocks with ``entries`` entries; those up to ``since`` only as a sample. ``signed_from``
    is the first signed block: None where the newest is not signed, or nothing is."""

    last: int
    entries: int
    since: int
    blocks: int
    problems: tuple[str, ...]
    signed_from: int | None = None


def verify(
    log: Log,
    stores: Sequence[Store] = (),
    *,
    whole: bool = False,
    sample: float = 0.05,
    seed: int | None = None,
) -> Verification:
    """Look at every block since the last verification, or at all with ``whole``, and at ``sample`` of the others, in pairs: others each time, without a ``seed``.
    ``stores`` hold heads of the log, and its copies. LandingError where a store cannot be asked."""
    accepted = log.recall("accepted", "was accepted")
    known = replace(log.recall("verified", "was verified"), newest=True)
    marks, problems = _marks(log, stores, known, accepted)
    try:
        last = log.last()
    except LedgerBroken as error:
        return Verification(0, 0, 0, 0, (str(error), *problems))
    problems += _contradictions(log, last, marks)
    trusted = known.number and known.number <= last and not problems and not whole
    start = known.number if trusted else accepted.number
    walk = _Walk(log, marks, accepted if not trusted else known)
    older = range(accepted.number + 1, start)
    chosen = {
        n + step for n in random.Random(seed).sample(older, math.ceil(sample * len(older))) for step in (0, 1)
    }
    for number, data in log.fetch([*sorted(chosen), *range(start + 1, last + 1)], packed=False):
        walk.look(number, data, new=number > start)
    walk.look_at_clock()
    problems += [*walk.problems, *(log.wrong_packs(walk.digests) if whole else ())]
    newest = walk.newest if walk.newest and walk.newest.number == last else _read(log, last)
    if newest and log.signer.signs and not newest.signature and last > accepted.number:
        problems.append(
            f"The newest block of the log {log.name}, {last}, is not signed, though {log.signer.variable} is set: it was written"
            " before there was a key, or by somebody without it."
        )
    unique = tuple(dict.fromkeys(problems))
    if unique:
        log.forget("verified")  # the next verification looks at everything
    elif newest and (last, newest.digest) != (known.number, known.digest):
        log.mark("verified", newest)
    signed_from = None if unique else _signed_from(log, last)
    return Verification(last, newest.last if newest else 0, start, walk.blocks, unique, signed_from)


def accept(log: Log) -> None:
    """Accept the log as it is now: what was known of it before no longer counts, and blocks up to its end are not looked at
    again. The caller appends who did so, and why, before and after."""
    head = log.head()
    for name in ("tail", "verified", "accepted"):
        if head:
            log.mark(name, head)
        else:
            log.forget(name)


class _Walk:
    """Blocks in ascending order, each held against the one before. ``known`` is a mark whose block is verified already."""

    def __init__(self, log: Log, marks: Sequence[Mark], known: Mark) -> None:
        self._log, self._known = log, known
        self._now = log.clock()
        self._newest_at = sorted(
            (mark for mark in marks if mark.newest and mark.at), key=lambda mark: mark.number
        )
        self.problems: list[str] = []
        self.newest: Block | None = None
        self.blocks = 0
        self._before: tuple[int, Block | None] = (0, None)
        self._latest: Block | None = None
        self._new: list[Block] = []
        self.digests: dict[int, str] = {}

    def look(self, number: int, data: bytes | None, *, new: bool) -> None:
        self.blocks += 1
        try:
            block = self._log.checked(number, data)
        except LedgerBroken as error:
            self.problems.append(str(error))
            self._before = (number, None)
            return
        before_number, before = self._before
        if before_number == number - 1 and (before or number == 1):
            self._add(self._log.link_problem(before, block))
        elif self._known.number == number - 1 and self._known.digest:
            expected = (self._known.digest, self._known.entries + 1)
            if (block.previous, block.first) != expected:
                self._add(self._log.replaced(self._known))
        self._before = (number, block)
        self.newest = block
        self.digests[number] = block.digest
        if new:
            self._new.append(block)
            self._dates(block)

    def _dates(self, block: Block) -> None:
        where = f"Block {block.number} of the log {self._log.name} (entries {block.first} to {block.last}) is dated {_words(block.at)}"
        if block.at > self._now + SKEW:
            self._add(
                f"{where}, which is in the future: the clock of its writer was wrong, or somebody else's entry."
            )
            return
        if self._latest and block.at < self._latest.at - SKEW:
            self._add(
                f"{where}, though block {self._latest.number} before it is dated {_words(self._latest.at)}: it was back-dated, or"
                " the clock of one writer was wrong."
            )
        else:
            self._latest = block
        later = [mark for mark in self._newest_at if mark.number < block.number and mark.at]
        if later and (at := max(mark.at for mark in later if mark.at)) and block.at < at - SKEW:
            self._add(
                f"{where}, but was not there on {_words(at)}, when the end of the log was signed: it was back-dated."
            )

    def look_at_clock(self) -> None:
        """The store's own clock, for blocks that no head knows yet: a restored store has later times for all others."""
        reached = max((mark.number for mark in self._newest_at), default=0)
        blocks = [block for block in self._new if block.number > reached]
        if not blocks or self._log.store.written_at(self._log.key(blocks[0].number)) is None:
            return
        calls = [partial(self._log.store.written_at, self._log.key(block.number)) for block in blocks]
        for block, at in zip(blocks, self._log.store.together(calls), strict=True):
            if at and at - block.at > SKEW:
                self._add(
                    f"Block {block.number} of the log {self._log.name} (entries {block.first} to {block.last}) is dated"
                    f" {_words(block.at)}, but was written on {_words(at)} by the clock of {self._log.store.url}: it was"
                    " back-dated, or put back from a copy."
                )

    def _add(self, problem: str) -> None:
        if problem:
            self.problems.append(problem)


def _marks(log: Log, stores: Sequence[Store], known: Mark, accepted: Mark) -> tuple[list[Mark], list[str]]:
    """What is known of the log, read before its end, which only grows. What is older than an acceptance does not count."""
    marks, problems = [known, log.recall("tail", "was appended")], list[str]()
    for store in (log.store, *stores):
        found, wrong = copies.heads(log, store, known.number)
        marks, problems = [*marks, *found], [*problems, *wrong]
    for store in stores:
        other = Log(store, log.name, log.signer, log.clock)
        try:
            block = other.head()
        except LedgerBroken as error:
            problems.append(f"The copy in {store.url}: {error}")
            continue
        if block:
            marks.append(
                Mark(block.number, block.last, block.digest, block.at, f"is in the copy in {store.url}")
            )
    since = accepted.at
    counting = [mark for mark in marks if mark.number and not (since and mark.at and mark.at <= since)]
    return counting, problems


def _contradictions(log: Log, last: int, marks: Sequence[Mark]) -> list[str]:
    found, digests = list[str](), dict[int, str]()
    for mark in sorted(marks, key=lambda mark: -mark.number):
        if mark.number > last:
            found = found or [log.lost(last, mark)]
            continue
        if mark.number not in digests:
            block = _read(log, mark.number)
            digests[mark.number] = block.digest if block else ""
        if digests[mark.number] not in ("", mark.digest):  # a damaged one is named when it is looked at
            found.append(log.replaced(mark))
        elif not digests[mark.number]:
            found.append(_damage(log, mark.number))
    return found


def _signed_from(log: Log, last: int) -> int | None:
    """The first block from which on all are signed: a log that is signed once stays so."""
    if not last or not log.read(last).signature:
        return None
    low, high = 1, last
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if log.read(middle).signature else (middle + 1, high)
    return low


def _read(log: Log, number: int) -> Block | None:
    try:
        return log.read(number) if number else None
    except LedgerBroken:
        return None


def _damage(log: Log, number: int) -> str:
    try:
        log.read(number)
    except LedgerBroken as error:
        return str(error)
    return ""


def _words(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
