"""The log of erasures in the landing store, and the sealed keys beside it."""

from __future__ import annotations

from collections.abc import Collection

from data_platform.audit.event import Event
from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError
from data_platform.privacy.erasure.frozen import Frozen, from_json, to_json
from data_platform.privacy.erasure.requests import LOG, Erasures, Hold, Request, Sealed, fold
from data_platform.sync.beside import Beside
from data_platform.sync.platform import Platform


class Book:
    """Requests and holds of one platform. Opening it asks nothing of the store."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.log = Log(platform.store, LOG, platform.signer, platform.clock)
        self.beside = Beside(platform, self.log)

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
