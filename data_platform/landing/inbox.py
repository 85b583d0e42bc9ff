"""The inbox of a source: deliveries that no table has taken yet, as objects of the landing store.

``_inbox/<source>/objects/<receiver>/<number>`` is one object. It is sealed where there is a key to hash personal values with, for
nobody has treated what is in it, and signed where manifests are. ``_inbox/<source>/read/<table>.json`` is a hint: up to where that table
has committed what it read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from data_platform.errors import ConfigurationError, LandingError, LedgerBroken
from data_platform.landing import hint
from data_platform.landing.sealing import Sealer
from data_platform.landing.signing import Signer
from data_platform.sources.inbox.delivery import Delivery, Place, Reached
from data_platform.sources.reading import SourceTable
from data_platform.stores import Store

FOLDER = "_inbox"
_PURPOSE = b"data_platform inbox"
_DIGITS = 15
_DELETERS = 8
_RECEIVER = re.compile(r"[0-9A-Za-z-]{1,64}")


class _Object(msgspec.Struct, array_like=True):
    sealed: bool
    signature: str
    payload: bytes


_OBJECT, _DELIVERIES = msgspec.msgpack.Decoder(_Object), msgspec.msgpack.Decoder(list[Delivery])


class StoredInbox:
    """``sources.inbox.delivery.Inbox``, and ``put`` for receivers. ``hash_key`` gives the key, or raises ConfigurationError where
    there is none; with ``must_seal`` nothing is written without it."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        source: str,
        tables: Sequence[SourceTable],
        hash_key: Callable[[], bytes],
        *,
        must_seal: bool,
    ) -> None:
        self._store, self._signer, self._source = store, signer, source
        self.tables = tuple(tables)
        self._hash_key, self._must_seal = hash_key, must_seal
        self._sealer: Sealer | None = None
        self._objects = f"{FOLDER}/{source}/objects"

    # ---------------------------------------------------------------- receivers

    def ready(self) -> None:
        """Raise what would keep ``put`` from writing: a key that is missing, a store that does not answer."""
        self._signer.ready()
        self._sealing()
        self._store.list(self._objects, limit=1)

    def put(self, place: Place, deliveries: Sequence[Delivery]) -> None:
        """Write a new object durably. LandingError where it is not there afterwards, or may not be."""
        key = self._key(place)
        payload = msgspec.msgpack.encode(deliveries)
        sealer = self._sealing()
        if sealer is not None:
            payload = sealer.seal(payload, _place(key))
        made = _Object(sealer is not None, self._signature(key, payload), payload)
        if not self._store.put_new(key, msgspec.msgpack.encode(made)):
            raise LandingError(f"{key} is in the landing store already. Start the receiver anew.")

    def _sealing(self) -> Sealer | None:
        if self._sealer is None:
            try:
                self._sealer = Sealer(self._hash_key(), _PURPOSE)
            except ConfigurationError as error:
                if self._must_seal:
                    raise ConfigurationError(
                        f"{self._source}: its tables declare personal data, so deliveries wait sealed. {error}"
                    ) from None
        return self._sealer

    # ---------------------------------------------------------------- readers

    def places(self) -> list[Place]:
        """LedgerBroken for an object that no receiver wrote."""
        found = [self._place_of(key) for key in self._store.list(self._objects)]
        return sorted(found, key=lambda place: (place.number, place.receiver))

    def some(self) -> bool:
        return bool(self._store.list(self._objects, limit=1))

    def read(self, place: Place) -> Sequence[Delivery]:
        key = self._key(place)
        try:
            found = _proven(key, self._store.read(key), self._signer)
            payload = found.payload
            if found.sealed:
                payload = Sealer(self._hash_key(), _PURPOSE).open(payload, _place(key))
            return _DELIVERIES.decode(payload)
        except KeyError:
            return ()  # another reader was faster, and has let go of it
        except msgspec.MsgspecError:
            raise _not_ours(key) from None

    def release(self, table: str, reached: Reached, readers: Sequence[str]) -> None:
        marks = [reached]
        if len(readers) > 1:
            hint.write(self._store, self._mark(table), {"reached": dict(reached)}, self._signer)
            marks += [self._reached(other) for other in readers if other != table]
        done = [
            self._key(place)
            for place in self.places()
            if all(place.number <= mark.get(place.receiver, 0) for mark in marks)
        ]
        with ThreadPoolExecutor(_DELETERS) as threads:
            list(threads.map(self._store.delete, done))

    def _reached(self, table: str) -> Reached:
        found = hint.read(self._store, self._mark(table), self._signer).get("reached")
        return found if isinstance(found, dict) else {}

    # ---------------------------------------------------------------- names

    def _mark(self, table: str) -> str:
        return f"{FOLDER}/{self._source}/read/{table}.json"

    def _key(self, place: Place) -> str:
        return f"{self._objects}/{place.receiver}/{place.number:0{_DIGITS}d}"

    def _place_of(self, key: str) -> Place:
        if (found := place_of(key)) is not None:
            return found[1]
        raise LedgerBroken(
            f"{key} in the landing store is no delivery. Only receivers write to that folder; move the object away."
        )

    def _signature(self, key: str, payload: bytes) -> str:
        return self._signer.sign("inbox", _digest(key, payload))


def place_of(key: str) -> tuple[str, Place] | None:
    """The source and the place of an object of deliveries; None for another key."""
    match key.split("/"):
        case [folder, source, "objects", receiver, number] if folder == FOLDER:
            if _RECEIVER.fullmatch(receiver) and len(number) == _DIGITS and number.isdecimal():
                return source, Place(receiver, int(number))
    return None


def check(key: str, data: bytes, signer: Signer) -> None:
    """LedgerBroken unless ``data`` is an object that a receiver wrote under ``key``."""
    _proven(key, data, signer)


def _proven(key: str, data: bytes, signer: Signer) -> _Object:
    try:
        found = _OBJECT.decode(data)
    except msgspec.MsgspecError:
        raise _not_ours(key) from None
    if signer.signs and not signer.accepts("inbox", _digest(key, found.payload), found.signature):
        raise LedgerBroken(
            f"{key} in the landing store was not written by a receiver that has the key in {signer.variable}."
            " Nothing of it is taken. Find out who wrote it, and move it away."
        )
    return found


def _not_ours(key: str) -> LedgerBroken:
    return LedgerBroken(
        f"{key} in the landing store is not what a receiver writes. Nothing of it is taken. Move it away; its sender"
        " can deliver it again."
    )


def _place(key: str) -> str:
    return f"Object {key}"


def _digest(key: str, payload: bytes) -> str:
    return hashlib.sha256(key.encode() + b"\0" + payload).hexdigest()
