"""A log in a store, appended to by any number of writers and read in few requests.

``_NAME/blocks/`` holds the blocks, newest first. A block is created only if its number is free, so that two writers exclude
each other: the one that comes second reads the new end and goes on after it. Nothing is ever overwritten or deleted: a
store whose credentials may only create and read objects is enough, but for hints, whose loss does no harm.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from data_platform.chained.block import Block, Entry, checked_body
from data_platform.errors import BatchConflict, ConfigurationError, LandingError, LedgerBroken
from data_platform.landing import hint
from data_platform.landing.grammar import is_digest, is_instant, is_number
from data_platform.landing.keys import newest_first, number_of
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores import Store

T = TypeVar("T")
GROUP_MAX = 1_000
"""Entries in one block at most."""
BLOCKS_AT_ONCE = 256
PACK = 1_000
TRIES = 200


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Mark:
    """A block that the log held at ``at``, by its digest; ``how`` says how that is known ("was appended"). With ``newest``
    it was the newest one then. Block 0 if nothing is known."""

    number: int = 0
    entries: int = 0
    digest: str = ""
    at: datetime | None = None
    how: str = ""
    newest: bool = False


class Log:
    """The log ``name`` in ``store``. Opening it asks nothing of the store. Threads may share it."""

    def __init__(
        self,
        store: Store,
        name: str,
        signer: Signer = NOT_SIGNED,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store, self.name, self.signer, self.clock = store, name, signer, clock
        self.folder = f"_{name}"
        self._lock = threading.Lock()
        self._newest: Block | None = None

    # ---------------------------------------------------------------- appending

    def append(self, bodies: Sequence[Mapping[str, Any]]) -> list[Entry]:
        """Append ``bodies``, durably, in their order; those of one block are there together or not at all (more than
        ``GROUP_MAX`` make several blocks). ConfigurationError without the key that the log needs, ``LedgerBroken`` where the end
        of the log is damaged or lost, LandingError where the store did not take it: it may be there all the same."""
        checked = [checked_body(body) for body in bodies]
        entries: list[Entry] = []
        with self._lock:
            self.signer.ready()
            for group in groups(checked, GROUP_MAX):
                entries += self._append(group).entries
        return entries

    def _append(self, bodies: tuple[Mapping[str, Any], ...]) -> Block:
        before = self._newest or self._end()
        for _ in range(TRIES):
            block = self._after(before, bodies)
            key = self.key(block.number)
            if self.store.put_new(key, block.to_json()) or self.read(block.number).digest == block.digest:
                self._newest = block
                self.mark("tail", block)
                return block
            before = self._end()
        raise BatchConflict(
            f"The log {self.name} in {self.store.url} is appended to by others all the time: after {TRIES} tries nothing was"
            " written. Try again, with fewer writers."
        )

    def _after(self, before: Block | None, bodies: tuple[Mapping[str, Any], ...]) -> Block:
        if before and before.signature and not self.signer.signs:
            raise ConfigurationError(
                f"The log {self.name} in {self.store.url} is signed, and this process has no key to sign with, so nothing was"
                " appended. Set the variable that `signing` names in catalog/platform.yaml to the key that others use."
            )
        number, first = (before.number + 1, before.last + 1) if before else (1, 1)
        previous = before.digest if before else None
        nonce = secrets.token_hex(8)
        return Block(self.name, number, first, self.clock(), bodies, nonce, previous).sealed(self.signer)

    def _end(self) -> Block | None:
        """The newest block to append after. ``LedgerBroken`` where later ones are known of: their numbers must not be given
        to others, or they could not be put back."""
        known = self.recall("tail", "was appended")  # before the head, which only grows
        head = self.head()
        reached = head.number if head else 0
        if known.number > reached:
            raise LedgerBroken(self.lost(reached, known))
        if known.number and self.read(known.number).digest != known.digest:
            raise LedgerBroken(self.replaced(known))
        return head

    # ---------------------------------------------------------------- reading

    def last(self) -> int:
        """The number of the newest block; 0 before the first. ``LedgerBroken`` for an object that is no block."""
        blocks = f"{self.folder}/blocks"
        keys = self.store.list(blocks, limit=1)
        if not keys:
            return 0
        if number := number_of(blocks, keys[0]):
            return number
        raise LedgerBroken(
            f"{keys[0]} in {self.store.url} is no block of the log {self.name}. Only this platform writes there; move the"
            " object away."
        )

    def head(self) -> Block | None:
        """The newest block, verified by itself; None before the first."""
        number = self.last()
        return self.read(number) if number else None

    def read(self, number: int) -> Block:
        """One block, verified by itself. ``LedgerBroken`` when it is missing, edited or misplaced."""
        try:
            data = self.store.read(self.key(number))
        except KeyError:
            data = None
        return self.checked(number, data)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a number above ``after``, oldest first, every link checked. ``LedgerBroken`` at the first damage,
        and where a newer end was known than the store has."""
        for block in self.blocks(self._block_before(after) if after else 0):
            yield from (entry for entry in block.entries if entry.number > after)

    def blocks(self, after: int = 0) -> Iterator[Block]:
        """The blocks with a number above ``after``, oldest first. ``LedgerBroken`` as ``entries``."""
        known = self.recall("tail", "was appended")
        last = self.last()
        if known.number > last:
            raise LedgerBroken(self.lost(last, known))
        if after >= last:
            return
        before = self.read(after) if after else None
        for number, data in self.fetch(range(after + 1, last + 1)):
            block = self.checked(number, data)
            if problem := self.link_problem(before, block):
                raise LedgerBroken(problem)
            yield block
            before = block

    def fetch(self, numbers: Iterable[int], *, packed: bool = True) -> Iterator[tuple[int, bytes | None]]:
        """The bytes of the blocks ``numbers`` (ascending or descending), None where one is missing: a pack at a time where
        there is one, and many requests side by side where there is none."""
        packs = self._packs() if packed else set()
        held: tuple[int, dict[int, bytes]] = (0, {})
        for group in groups(numbers, BLOCKS_AT_ONCE):
            found: dict[int, bytes | None] = {}
            for number in group:
                pack = pack_of(number)
                if pack in packs and pack != held[0]:
                    held = (pack, self._unpacked(pack))
                if pack == held[0] and number in held[1]:
                    found[number] = held[1][number]
            absent = [number for number in group if number not in found]
            answers = self.store.together([partial(self._bytes, number) for number in absent])
            found.update(zip(absent, answers, strict=True))
            yield from ((number, found[number]) for number in group)

    def checked(self, number: int, data: bytes | None) -> Block:
        """Block ``number`` from its bytes. ``LedgerBroken`` says what is wrong with it."""
        key = self.key(number)
        if data is None:
            raise LedgerBroken(
                f"Block {number} of the log {self.name} is missing: {key} in {self.store.url} was removed. Restore it from a"
                " copy of the log."
            )
        block = Block.from_json(data, key, self.signer)
        if (block.log, block.number) != (self.name, number):
            raise LedgerBroken(
                f"{key} in {self.store.url} holds block {block.number} of the log {block.log}: it was moved or reordered."
                " Restore it from a copy of the log."
            )
        return block

    def link_problem(self, before: Block | None, block: Block) -> str:
        """Why ``block`` does not follow ``before``; empty where it does."""
        expected = (before.digest, before.last + 1) if before else (None, 1)
        if (block.previous, block.first) != expected:
            return (
                f"Block {block.number} of the log {self.name} (entries {block.first} to {block.last}) does not follow block"
                f" {block.number - 1}: one of them was edited, reordered or put in between afterwards."
            )
        if before and before.signature and not block.signature:
            return (
                f"Block {block.number} of the log {self.name} (entries {block.first} to {block.last}) is not signed, though"
                " the one before is: somebody without the key wrote it."
            )
        return ""

    def key(self, number: int) -> str:
        return newest_first(f"{self.folder}/blocks", number)

    # ---------------------------------------------------------------- packs: copies of a thousand blocks, for readers

    def pack(self) -> int:
        """Write the packs that are missing: copies of ``PACK`` blocks each in one object. A reader that finds none reads the
        blocks. Gives how many were made."""
        last, made = self.last(), 0
        for pack in range(1, last // PACK + 1):
            if pack in self._packs():
                continue
            numbers = range((pack - 1) * PACK + 1, pack * PACK + 1)
            found = [self.checked(*one).to_json() for one in self.fetch(numbers, packed=False)]
            self.store.put_hint(self._pack_key(pack), b"\n".join(found))
            made += 1
        return made

    def wrong_packs(self, digests: Mapping[int, str]) -> list[str]:
        """The packs that are no copies of the blocks whose ``digests`` are given: readers would take one for the other."""
        found = []
        for pack in sorted(self._packs()):
            held = {
                number: Block.from_json(line, "", self.signer)
                for number, line in self._unpacked(pack).items()
            }
            if any(digests.get(number, block.digest) != block.digest for number, block in held.items()):
                found.append(
                    f"{self._pack_key(pack)} in {self.store.url} is no copy of its blocks of the log {self.name}: it was edited."
                    " Delete it; the next daily run makes it again."
                )
        return found

    def _packs(self) -> set[int]:
        names = [key.rsplit("/", 1)[-1].partition(".")[0] for key in self.store.list(f"{self.folder}/packs")]
        return {int(name) for name in names if name.isdecimal()}

    def _unpacked(self, pack: int) -> dict[int, bytes]:
        """The blocks of a pack that are what they should be; others are read where they were appended."""
        try:
            lines = self.store.read(self._pack_key(pack)).split(b"\n")
        except KeyError:
            return {}
        good: dict[int, bytes] = {}
        before: Block | None = None
        for number, line in enumerate(lines, (pack - 1) * PACK + 1):
            try:
                block = self.checked(number, line)
            except LedgerBroken:
                return {}
            if before and self.link_problem(before, block):
                return {}
            good[number], before = line, block
        return good

    def _pack_key(self, pack: int) -> str:
        return f"{self.folder}/packs/{pack:09d}.jsonl"

    def _bytes(self, number: int) -> bytes | None:
        try:
            return self.store.read(self.key(number))
        except KeyError:
            return None

    def _block_before(self, entry: int) -> int:
        """The last block that has no entry above number ``entry``, by halving."""
        low, high = 0, self.last()
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.read(middle).last <= entry else (low, middle - 1)
        return low

    # ---------------------------------------------------------------- what is known of the log

    def mark(self, name: str, block: Block) -> None:
        """Remember ``block`` in the hint ``name``. The log is as valid where it cannot be written."""
        with suppress(LandingError):
            hint.write(self.store, self._hint(name), mark_fields(block, self.clock()), self.signer)

    def forget(self, name: str) -> None:
        """Empty the hint ``name``."""
        hint.write(self.store, self._hint(name), {}, self.signer)

    def recall(self, name: str, how: str) -> Mark:
        return mark_of(hint.read(self.store, self._hint(name), self.signer), how)

    def lost(self, last: int, mark: Mark) -> str:
        return (
            f"The log {self.name} in {self.store.url} was truncated: it ends at block {last}, though block {mark.number} (up to"
            f" entry {mark.entries}) {mark.how}. Restore its newest blocks from a copy of the log."
        )

    def replaced(self, mark: Mark) -> str:
        return (
            f"Block {mark.number} of the log {self.name} is not the one that {mark.how}: it, or blocks before it, were edited,"
            " reordered or put in between. Restore the log from a copy."
        )

    def _hint(self, name: str) -> str:
        return f"{self.folder}/{name}.json"


def pack_of(number: int) -> int:
    """The pack that block ``number`` belongs to."""
    return (number - 1) // PACK + 1


def mark_fields(block: Block, at: datetime) -> dict[str, Any]:
    return {"number": block.number, "entries": block.last, "digest": block.digest, "at": at.isoformat()}


def mark_of(raw: Mapping[str, Any], how: str, *, newest: bool = False) -> Mark:
    """The mark that ``mark_fields`` made ``raw`` of; an empty one for anything else."""
    known = is_number(raw.get("number"), 1) and is_number(raw.get("entries"), 1)
    if not known or not is_digest(raw.get("digest")) or not is_instant(raw.get("at")):
        return Mark()
    at = datetime.fromisoformat(raw["at"])
    return Mark(raw["number"], raw["entries"], raw["digest"], at, how, newest)


def groups(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    iterator = iter(items)
    while group := tuple(islice(iterator, size)):
        yield group
