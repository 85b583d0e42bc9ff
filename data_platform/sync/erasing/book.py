"""The log of erasures in the landing store, and the sealed keys beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from data_platform.audit.event import Event
from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError, LedgerBroken
from data_platform.landing.redaction import redaction_key
from data_platform.landing.sealing import Sealer
from data_platform.privacy.erasure.frozen import Frozen, from_json, to_json
from data_platform.privacy.erasure.requests import LOG, Erasures, Hold, Request, Sealed, fold
from data_platform.sync.platform import Platform

PURPOSE = b"data_platform erasures"


class Book:
    """Requests and holds of one platform. Opening it asks nothing of the store."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.log = Log(platform.store, LOG, platform.signer, platform.clock)

    def read(self) -> Erasures:
        return fold(self.log.entries())

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
        key = f"_{LOG}/keys/{name}.sealed"
        data = self._sealer().seal(to_json(frozen, needles), key)
        if not self.platform.store.put_new(key, data):
            raise LedgerBroken(f"{key} in {self.platform.store.url} exists already. Nothing was changed.")
        return Sealed(key, hashlib.sha256(data).hexdigest())

    def opened(self, sealed: Sealed) -> tuple[Frozen, tuple[str, ...]]:
        """The keys of a person, and the texts that must not be found. ``LedgerBroken`` where the object is not the one of the log."""
        try:
            data = self.platform.store.read(sealed.key)
        except KeyError:
            data = b""
        if hashlib.sha256(data).hexdigest() != sealed.sha256:
            raise LedgerBroken(
                f"{sealed.key} in {self.platform.store.url} is missing or altered, and the log of erasures relies on it. Restore it from"
                " a copy of the landing store."
            )
        return from_json(self._sealer().open(data, sealed.key))

    def add(self, request: Request) -> Request:
        self.log.append([request.entry()])
        return self.request(request.id)

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

    def _sealer(self) -> Sealer:
        return Sealer(redaction_key(self.platform.environ), PURPOSE)
