"""The log of answers that were written by hand, and the sealed keys of the people beside it."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from contextlib import suppress

from data_platform.audit.event import Event
from data_platform.chained.log import Log
from data_platform.errors import LedgerBroken, ObjectLocked
from data_platform.privacy.consent.answers import LOG, Decided, Decision, State, fold, forgotten
from data_platform.privacy.erasure.frozen import Frozen
from data_platform.privacy.subjects.graph import Subject
from data_platform.stores import Store
from data_platform.sync.beside import Beside
from data_platform.sync.platform import Platform


class Book:
    """The answers by hand of one platform. Opening it asks nothing of the store."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.log = Log(platform.store, LOG, platform.signer, platform.clock)
        self.beside = Beside(platform, self.log)

    def read(self) -> Decided:
        return fold(self.log.entries()) if self.log.last() else Decided({}, {})

    def kinds(self) -> frozenset[str]:
        """The kinds of people that decisions are of, or were before these people were erased."""
        decided = self.read()
        return frozenset(one.subject for one in (*decided.standing.values(), *decided.forgotten.values()))

    def known(self) -> list[tuple[Decision, str]]:
        """Each decision that is somebody's, with their consent key as text."""
        standing = self.read().standing.values()
        try:
            keys = self.beside.opened(*(one.sealed for one in standing))
        except LedgerBroken:
            standing = self.read().standing.values()  # somebody may have been erased meanwhile
            keys = self.beside.opened(*(one.sealed for one in standing))
        return [(one, key.decode()) for one, key in zip(standing, keys, strict=True)]

    def decide(
        self,
        subject: Subject,
        keys: Collection[str],
        purpose: str,
        state: State,
        version: str | None,
        by: str,
    ) -> list[Decision]:
        """Write the answer of the person with the consent ``keys`` down, one for each."""
        made = []
        for key in sorted(keys):
            id_ = uuid.uuid4().hex
            sealed = self.beside.seal(id_, key.encode())
            made.append(Decision(id_, subject.name, purpose, state, version, by, sealed))
        details = {"purpose": purpose, "state": state}
        with self.platform.trail.audited(Event("consent", (subject.name,), details=details)):
            self.log.append([one.entry() for one in made])
        return made

    def forget(self, frozen: Frozen, needles: Collection[str], copies: Collection[Store]) -> int:
        """Delete whom the decisions of an erased person are about, here and in ``copies``; how many these were. Done again, it deletes what
        is left of all that were forgotten. A person whose decision is not in the log, or not yet, is forgotten too."""
        gone = [one.id for one, key in self.known() if self._about(one.subject, key, frozen, needles)]
        decided = self.read()
        named = [one.sealed for one in (*decided.standing.values(), *decided.forgotten.values())]
        unnamed = {
            id_: place
            for id_, (place, key) in self.beside.others(named).items()
            if any(
                self._about(kind, key.decode(), frozen, needles) for kind in self.platform.catalog.subjects
            )
        }
        if gone or unnamed:
            self.log.append([forgotten([*gone, *unnamed])])
        places = [*(one.sealed.key for one in self.read().forgotten.values()), *unnamed.values()]
        for place in dict.fromkeys(places):
            for store in (self.platform.store, *copies):  # this one first: what copies it finds no more
                with suppress(ObjectLocked):  # a later request deletes it
                    store.delete(place)
        return len(gone)

    def _about(self, kind: str, key: str, frozen: Frozen, needles: Collection[str]) -> bool:
        subject = self.platform.catalog.subjects.get(kind)
        consent = subject.consent if subject is not None else None
        if consent is None:  # nobody asks these people any more: what they decided counts for nothing
            return key in needles or any(key in values for values in frozen.values.values())
        if consent.place in frozen.values:
            return key in frozen.values[consent.place]
        return key in needles
