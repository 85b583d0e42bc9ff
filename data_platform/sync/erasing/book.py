"""The log of erasures in the landing store, and the sealed keys beside it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence

from data_platform.audit.event import Event
from data_platform.chained.block import Block
from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError
from data_platform.privacy.erasure.frozen import Frozen, from_json, to_json
from data_platform.privacy.erasure.known import Known, joined
from data_platform.privacy.erasure.known import from_json as known_from_json
from data_platform.privacy.erasure.requests import LOG, Erasures, Hold, LateKeys, Request, Sealed, fold
from data_platform.privacy.subjects.place import Place
from data_platform.sync.beside import Beside
from data_platform.sync.platform import Platform

KNOWN = "known"
BLOCKS_UNTIL_KEPT = 200
"""So many blocks without a new request are read again each time before what is known is written down again."""


class Book:
    """Requests and holds of one platform. Opening it asks nothing of the store."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.log = Log(platform.store, LOG, platform.signer, platform.clock)
        self.beside = Beside(platform, self.log)

    def read(self) -> Erasures:
        return fold(self.log.entries())

    def known(self, *, whole: bool = False) -> Known:
        """Whom the log names. What was known at an earlier time is read from one sealed object, and only the blocks since then from the
        log; ``whole`` reads and checks all of it, and writes nothing. LedgerBroken as ``opened`` and where the log is damaged."""
        before = Known() if whole else self._kept()
        blocks = list(self.log.blocks(before.block))
        if not blocks:
            return before
        now, news = self._advanced(before, blocks)
        if not whole and (news or len(blocks) > BLOCKS_UNTIL_KEPT):
            self.beside.keep(KNOWN, now.to_json())
        return now

    def knows(self, kind: str, keys: Mapping[Place, Collection[str]]) -> bool:
        """Whether one of these ``keys`` of a person of that ``kind`` is in the log."""
        erased = self.known().erased.get(kind)
        return erased is not None and any(
            erased.values.get(place, frozenset()) & set(some) for place, some in keys.items()
        )

    def _kept(self) -> Known:
        """What ``known`` wrote last, if the log still has the block that it ends at."""
        data = self.beside.kept(KNOWN)
        kept = known_from_json(data) if data is not None else Known()
        there = 0 < kept.block <= self.log.last() and self.log.read(kept.block).digest == kept.digest
        return kept if there else Known()

    def _advanced(self, before: Known, blocks: Sequence[Block]) -> tuple[Known, int]:
        """What is known after ``blocks``, and how often keys are new."""
        found = fold(
            entry
            for block in blocks
            for entry in block.entries
            if entry.body.get("event") != "done"  # of requests that are known, too
        )
        asked: list[Request | LateKeys] = [*found.requests.values(), *found.late]
        opened = self.all_opened([one.sealed for one in asked])
        people = [(one.subject, frozen) for one, (frozen, _) in zip(asked, opened, strict=True)]
        end = blocks[-1]
        return Known(end.number, end.digest, joined([*before.erased.items(), *people])), len(people)

    def request(self, id_: str) -> Request:
        """ConfigurationError where there is none."""
        found = self.read().requests.get(id_)
        if found is None:
            raise ConfigurationError(
                f"There is no request {id_!r} to erase somebody. `data-platform subject erasures` lists them."
            )
        return found

    def seal(self, name: str, frozen: Frozen, needles: Collection[str]) -> Sealed:
        """Put the keys of a person beside the log, readable with the secret of redactions alone."""
        return self.beside.seal(name, to_json(frozen, needles))

    def opened(self, sealed: Sealed) -> tuple[Frozen, tuple[str, ...]]:
        """The keys of a person, and the texts that must not be found. ``LedgerBroken`` where the object is not the one of the log."""
        return self.all_opened([sealed])[0]

    def all_opened(self, sealed: Collection[Sealed]) -> list[tuple[Frozen, tuple[str, ...]]]:
        """The same of many people at once, in their order."""
        return [from_json(data) for data in self.beside.opened(*sealed)]

    def add(self, request: Request) -> Request:
        self.log.append([request.entry()])
        return self.request(request.id)

    def came(self, kinds: Collection[str], frozen: Frozen) -> None:
        """Add the keys of new rows of people of ``kinds`` to theirs."""
        sealed = self.seal(f"came-{uuid.uuid4().hex}", frozen, ())
        self.log.append([LateKeys(kind, sealed).entry() for kind in kinds])

    def hold(self, hold: Hold) -> None:
        self.log.append([hold.entry()])

    def release(self, name: str, reason: str, by: str) -> None:
        hold = self.read().holds.get(name)
        if hold is None:
            raise ConfigurationError(
                f"There is no hold {name!r}. `data-platform subject erasures` lists them."
            )
        self.platform.trail.record(Event("hold", (name,), purpose=reason, details={"state": "released"}))
        self.log.append([hold.released(reason, by)])
