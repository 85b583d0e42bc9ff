"""The book of a sensor: its open incidents and what is still to be sent, as objects of the landing store.

``_alerts/<book>/<number>`` is the whole state; the highest number counts. It is written before anything is sent, so a
process that ends in between loses nothing. Two writers of a number exclude each other (``put_new``): the one that comes
second reads again. The sensor's cursor keeps a copy, with which it goes on while the store cannot be reached.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from data_platform.alerts.state import BookState, from_cursor, from_text, merged, to_cursor, to_text
from data_platform.errors import AlertError, DataPlatformError, StoreUnreachable
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores import Store

T = TypeVar("T")
FOLDER = "_alerts"
ANSWER_SECONDS = 10.0
"""A store that does not answer for so long counts as unreachable: a tick has a minute for everything."""
KEPT = 20
"""States that are kept. A writer that was held up for longer than so many took cannot take a number that is free again:
``SENDS_FOR`` of ``announce.py`` is far shorter."""
TRIES = 8
_DIGITS = 12
_PURPOSE = "alerts"


class Book:
    """``store`` is None where the catalog that names it cannot be read. ``trouble`` is why the store cannot be used: from then
    on the copy is what counts, for as long as this object lives."""

    def __init__(
        self, name: str, store: Store | None, signer: Signer = NOT_SIGNED, cursor: str | None = None
    ) -> None:
        self.name = name
        self.trouble: str | None = None if store is not None else "no store is known"
        self._store, self._signer = store, signer
        self._state = from_cursor(cursor)
        self._numbers: list[int] = []

    def load(self) -> BookState:
        """The newest state. AlertError where there is no cursor to go on with, and the store cannot be read."""
        if self._store is not None and self.trouble is None:
            try:
                self._state = within(partial(self._newest, self._store))
            except (DataPlatformError, OSError) as error:
                self.trouble = str(error) or type(error).__name__
        return self._state

    def update(self, change: Callable[[BookState], BookState]) -> BookState:
        """Change the newest state, and again if another writer was faster. The state after it is durable unless there is
        ``trouble``: then the cursor is the only copy."""
        for _ in range(TRIES):
            state = self.load()
            wanted = change(state)
            if (wanted.incidents, wanted.claim) == (state.incidents, state.claim) and not state.ahead:
                self._state = wanted
                return wanted
            if self._save(wanted):
                return self._state
        raise AlertError(
            f"The book of alerts {self.name!r} in the landing store is changed by others all the time. Nothing was written;"
            " see who else runs this environment, and try again."
        )

    def cursor(self) -> str:
        """The copy to keep."""
        return to_cursor(self._state)

    def _save(self, wanted: BookState) -> bool:
        if self._store is None or self.trouble is not None:
            self._state = replace(wanted, ahead=True)
            return True
        number = max([wanted.number, *self._numbers]) + 1
        made = replace(wanted, number=number, ahead=False)
        try:
            if not within(partial(self._store.put_new, self._key(number), self._sealed(number, made))):
                return False
        except (DataPlatformError, OSError) as error:
            self.trouble = str(error) or type(error).__name__
            self._state = replace(wanted, ahead=True)
            return True
        self._state = made
        self._prune(self._store, number)
        return True

    def _newest(self, store: Store) -> BookState:
        own = self._state
        folder = f"{FOLDER}/{self.name}"
        names = [key.removeprefix(f"{folder}/") for key in store.list(folder)]
        self._numbers = sorted(int(name) for name in names if len(name) == _DIGITS and name.isdecimal())
        for number in reversed(self._numbers):
            if number <= own.number:
                return own
            found = self._read(store, number)
            if found is not None:
                return merged(own, found) if own.ahead else found
        return own

    def _read(self, store: Store, number: int) -> BookState | None:
        """None for an object that no sensor of ours wrote, or that has just gone."""
        try:
            _, signature, text = store.read(self._key(number)).split(b"\n", 2)
        except (KeyError, ValueError):
            return None
        digest = self._digest(number, text)
        if self._signer.signs and not self._signer.accepts(
            _PURPOSE, digest, signature.decode("ascii", "replace")
        ):
            return None
        state = from_text(text.decode("utf-8", "replace"))
        return replace(state, number=number, ahead=False) if state is not None else None

    def _sealed(self, number: int, state: BookState) -> bytes:
        """The bytes of an object. The first line is of this writer alone, so that no two writers take one for theirs."""
        text = to_text(state).encode()
        signature = self._signer.sign(_PURPOSE, self._digest(number, text))
        return f"{secrets.token_hex(8)}\n{signature}\n".encode() + text

    def _digest(self, number: int, text: bytes) -> str:
        return hashlib.sha256(f"{self.name}\0{number}\0".encode() + text).hexdigest()

    def _prune(self, store: Store, newest: int) -> None:
        old = [number for number in self._numbers if number <= newest - KEPT]
        if len(old) < KEPT:
            return
        try:
            within(lambda: _delete(store, [self._key(number) for number in old]))
        except (DataPlatformError, OSError):
            return  # they go another time

    def _key(self, number: int) -> str:
        return f"{FOLDER}/{self.name}/{number:0{_DIGITS}d}"


def _delete(store: Store, keys: Sequence[str]) -> None:
    for key in keys:
        store.delete(key)


def within(call: Callable[[], T]) -> T:
    """What ``call`` returns or raises, StoreUnreachable where it takes too long. A write that ends later is met as another
    writer's."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            answers.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=ask, name="alerts-book", daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if errors:
        raise errors[0]
    if not answers:
        raise StoreUnreachable(f"The landing store gave no answer within {ANSWER_SECONDS:g} s.")
    return answers[0]
