"""Sealed objects beside a log of decisions about people: an entry names one by its digest, and never the person."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from contextlib import suppress
from functools import cached_property, partial
from pathlib import PurePosixPath

from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError, LandingError, LedgerBroken
from data_platform.landing.redaction import redaction_key
from data_platform.landing.sealing import Sealer
from data_platform.privacy.erasure.requests import Sealed
from data_platform.sync.platform import Platform


class Beside:
    """The folder ``keys`` of ``log``. What lies there is readable with the secret of redactions alone, which is asked for when it is needed."""

    def __init__(self, platform: Platform, log: Log) -> None:
        self.platform = platform
        self.log = log

    def seal(self, name: str, data: bytes) -> Sealed:
        """Put ``data`` there. LedgerBroken where something has that name."""
        key = f"{self._folder}/{name}.sealed"
        sealed = self._sealer.seal(data, key)
        if not self.platform.store.put_new(key, sealed):
            raise LedgerBroken(f"{key} in {self.platform.store.url} exists already. Nothing was changed.")
        return Sealed(key, hashlib.sha256(sealed).hexdigest())

    def others(self, known: Collection[Sealed]) -> dict[str, tuple[str, bytes]]:
        """What lies there beside ``known``, by name, with its key and what was sealed: left by somebody who was killed, or not in the log
        yet."""
        keys = sorted(set(self.platform.store.list(self._folder)) - {one.key for one in known})
        read = self.platform.store.together([partial(self._read, key) for key in keys])
        return {
            PurePosixPath(key).stem: (key, self._sealer.open(data, key))
            for key, data in zip(keys, read, strict=True)
            if data
        }

    def opened(self, *sealed: Sealed) -> list[bytes]:
        """What was sealed, of many with as many requests at once as the store takes. LedgerBroken where an object is not the one that the
        log names."""
        data = self.platform.store.together([partial(self._read, one.key) for one in sealed])
        return [self._open(one, held) for one, held in zip(sealed, data, strict=True)]

    def keep(self, name: str, data: bytes) -> None:
        """Write or overwrite ``data``, which is made again where it is lost: nothing is said where the store does not take it."""
        key = self._kept(name)
        with suppress(ConfigurationError, LandingError):
            self.platform.store.put_hint(key, self._sealer.seal(data, key))

    def kept(self, name: str) -> bytes | None:
        """What ``keep`` wrote last; None where that is missing or altered, or was sealed under another key."""
        key = self._kept(name)
        try:
            return self._sealer.open(self.platform.store.read(key), key)
        except (KeyError, ConfigurationError):
            return None

    def _kept(self, name: str) -> str:
        return f"_{self.log.name}/{name}.sealed"

    def _read(self, key: str) -> bytes:
        try:
            return self.platform.store.read(key)
        except KeyError:
            return b""

    def _open(self, sealed: Sealed, data: bytes) -> bytes:
        if hashlib.sha256(data).hexdigest() != sealed.sha256:
            raise LedgerBroken(
                f"{sealed.key} in {self.platform.store.url} is missing or altered, and the log of {self.log.name} relies on it. Restore it"
                " from a copy of the landing store."
            )
        return self._sealer.open(data, sealed.key)

    @property
    def _folder(self) -> str:
        return f"_{self.log.name}/keys"

    @cached_property
    def _sealer(self) -> Sealer:
        return Sealer(redaction_key(self.platform.environ), f"data_platform {self.log.name}".encode())
