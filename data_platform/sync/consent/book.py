"""The log of answers that were written by hand, and the sealed keys of the people beside it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from data_platform.audit.event import Event
from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError, LedgerBroken, ObjectLocked
from data_platform.privacy.consent.answers import LOG, Decided, Decision, State, fold, forgotten
from data_platform.privacy.erasure.frozen import Frozen
from data_platform.privacy.subjects.graph import Subject
from data_platform.stores import Store
from data_platform.sync.beside import Beside
from data_platform.sync.erasing.book import Book as Erasures
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
        """Write the answer of the person with the consent ``keys`` down, one for each. ConfigurationError, and nothing is kept, where the
        person is in the log of erasures, by the time at which the answer is written down too."""
        self._refuse_erased(subject, keys)
        made: list[Decision] = []
        for key in sorted(keys):
            id_ = uuid.uuid4().hex
            sealed = self.beside.seal(id_, key.encode())
            made.append(Decision(id_, subject.name, purpose, state, version, by, sealed))
        details = {"purpose": purpose, "state": state}
        with self.platform.trail.audited(Event("consent", (subject.name,), details=details)):
            self.log.append([one.entry() for one in made])
            try:
                self._refuse_erased(subject, keys)  # a request that is written from now on finds the answer
            except ConfigurationError:
                self._delete([one.id for one in made], {}, ())
                raise
        return made

    def _refuse_erased(self, subject: Subject, keys: Collection[str]) -> None:
        erased, asked = self._erased(subject), Erasures(self.platform)
        if erased is None:  # the key of consents is no key of a person: what was typed tells
            going = [one.sealed for one in asked.read().requests.values() if one.next_step is not None]
            erased = frozenset(needle for _, needles in asked.all_opened(going) for needle in needles)
        if erased & set(keys):
            raise ConfigurationError(
                f"This {subject.name} is being erased, so no answer was written down. `data-platform subject erasures` lists the requests."
            )

    def _erased(self, subject: Subject) -> frozenset[str] | None:
        """The consent keys of everybody in the log of erasures; None where it does not have these."""
        if subject.consent is None:
            return None
        known = Erasures(self.platform).known().erased.get(subject.name)
        return frozenset() if known is None else known.values.get(subject.consent.place)

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
        self._delete(gone, unnamed, copies)
        return len(gone)

    def forget_erased(self, copies: Callable[[], Collection[Store]]) -> int:
        """Delete the decisions of people in the log of erasures: somebody who was killed wrote one down while a request went on."""
        kinds = self.platform.catalog.subjects
        erased = {kind: self._erased(subject) or frozenset() for kind, subject in kinds.items()}
        gone = (
            [one.id for one, key in self.known() if key in erased.get(one.subject, ())]
            if any(erased.values())
            else []
        )
        if gone:
            self._delete(gone, {}, copies())
        return len(gone)

    def _delete(self, gone: Collection[str], unnamed: Mapping[str, str], copies: Collection[Store]) -> None:
        """``unnamed`` are the keys of objects without an entry, by name."""
        if gone or unnamed:
            self.log.append([forgotten([*gone, *unnamed])])
        places = [*(one.sealed.key for one in self.read().forgotten.values()), *unnamed.values()]
        for place in dict.fromkeys(places):
            for store in (self.platform.store, *copies):  # this one first: what copies it finds no more
                with suppress(ObjectLocked):  # a later request deletes it
                    store.delete(place)

    def _about(self, kind: str, key: str, frozen: Frozen, needles: Collection[str]) -> bool:
        subject = self.platform.catalog.subjects.get(kind)
        consent = subject.consent if subject is not None else None
        if consent is None:  # nobody asks these people any more: what they decided counts for nothing
            return key in needles or any(key in values for values in frozen.values.values())
        if consent.place in frozen.values:
            return key in frozen.values[consent.place]
        return key in needles
