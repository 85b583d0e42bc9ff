"""The keys of a keystore that wrap all others, each wrapped by a master itself. The one with the greatest number wraps what is new."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from data_platform.errors import ConfigurationError
from data_platform.keystore.masters import Master
from data_platform.keystore.rows import Rows
from data_platform.privacy.seal import KEY_BYTES

_NONCE = 12


class WrappingKeys:
    """Errors: ConfigurationError where no master opens one, or where what it wrapped was changed."""

    def __init__(self, rows: Rows, masters: Sequence[Master], now: Callable[[], str]) -> None:
        self._rows, self._masters, self._now = rows, masters, now
        self._ciphers: dict[int, Any] = {}

    def newest(self) -> int:
        """The number of the one that wraps what is new; 0 where there is none."""
        return int(self._rows.read("SELECT coalesce(max(number), 0) FROM wrapping_keys")[0][0])

    def add(self, number: int) -> None:
        """Make one, within ``Rows.writing``."""
        key, master = os.urandom(KEY_BYTES), self._masters[0]
        self._rows.insert(
            "wrapping_keys", [(number, master.name, master.wrap(key, _purpose(number)), self._now())]
        )
        self._ciphers[number] = _cipher(key)

    def forget_before(self, number: int) -> None:
        """Leave none before ``number``, within ``Rows.writing``."""
        self._rows.many("DELETE FROM wrapping_keys WHERE number < ?", [(number,)])
        self._ciphers = {number: self._cipher(number)}

    def wrapped(self, number: int, keys: Iterable[tuple[str, bytes]]) -> list[bytes]:
        """Each of ``keys``, as (id, key), wrapped for its id."""
        listed, encrypt = list(keys), self._cipher(number).encrypt
        random = os.urandom(_NONCE * len(listed))
        nonces = (random[at : at + _NONCE] for at in range(0, len(random), _NONCE))
        return [
            nonce + encrypt(nonce, key, id.encode()) for nonce, (id, key) in zip(nonces, listed, strict=True)
        ]

    def unwrapped(self, rows: Iterable[tuple[Any, ...]]) -> list[bytes]:
        """The keys of ``rows``, as (id, number, wrapped) and what may follow."""
        from cryptography.exceptions import InvalidTag

        keys: list[bytes] = []
        for row in rows:
            id, number, wrapped = row[0], row[1], row[2]
            cipher = self._ciphers.get(number) or self._cipher(number)
            try:
                keys.append(cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], id.encode()))
            except (InvalidTag, ValueError):
                raise ConfigurationError(
                    f"A key of the keystore {self._rows.place} was changed and does not open (its id is {id}). Restore the keystore"
                    " from its newest copy: `data-platform keystore restore`."
                ) from None
        return keys

    def _cipher(self, number: int) -> Any:
        """The cipher of a wrapping key, which another process may have made since."""
        if number not in self._ciphers:
            rows = self._rows.read("SELECT master, wrapped FROM wrapping_keys WHERE number = ?", (number,))
            if not rows:
                raise ConfigurationError(
                    f"The keystore {self._rows.place} lacks the wrapping key {number}, so keys under it do not open. Restore the"
                    " keystore from its newest copy: `data-platform keystore restore`."
                )
            name, wrapped = rows[0]
            master = next((one for one in self._masters if one.name == name), None)
            if master is None:
                have = " and ".join(f"{one.label} ({one.name})" for one in self._masters)
                raise ConfigurationError(
                    f"The keystore {self._rows.place} was wrapped by the master key {name}, and the catalog gives {have}. Set the"
                    " master key that was in use; to change it, give the one before as `previous_master` and run `data-platform"
                    " keystore rotate`."
                )
            self._ciphers[number] = _cipher(master.unwrap(bytes(wrapped), _purpose(number)))
        return self._ciphers[number]


def _purpose(number: int) -> str:
    return f"data_platform keystore {number}"


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
