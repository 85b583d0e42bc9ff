"""One value sealed under the key of the person it is about, and opened again. Pure.

A sealed value is the text ``sealed:1:<subject id>:<base64url>``: AES-256-GCM-SIV (RFC 8452) under 32 bytes that belong to
one subject. The associated data are the table, the column, the path within a document and the subject id, so a value opens at its own place
only. The nonce belongs to the place, so the same value of the same person has the same text each time it is read: a row that
was read again is no changed row. Within one person and one place equal values are seen to be equal; nothing else is. The
length of the value shows.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from data_platform.privacy.names import is_email
from data_platform.privacy.treatments import lowered

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

PREFIX = "sealed:1:"
KEY_BYTES = 32
NOBODY = "nobody-"
"""How the id of the key begins under which values are sealed whose row names no subject."""
SEALED = re.compile(rf"{PREFIX}((?:{NOBODY})?[0-9a-f]{{32}}):([A-Za-z0-9_-]{{22,}})")


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class NotOpened(ValueError):
    """The text is no sealed value, it was changed, it was sealed at another place or under another key. The message holds
    nothing of it."""


class Place:
    """Where a value lands: a column of a table, and the path to it within a document. ``table`` is ``source/table``."""

    __slots__ = ("data", "nonce")

    def __init__(self, table: str, column: str, path: Sequence[str] = ()) -> None:
        self.data = json.dumps([table, column, *path]).encode()
        self.nonce = hashlib.sha256(self.data).digest()[:12]


@cache
def _siv() -> type[AESGCMSIV]:
    """Imported when a key is first used, and looked up once: an import statement a key would cost as much as the key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

    return AESGCMSIV


class SubjectKey:
    """The key of one subject, of ``KEY_BYTES`` random bytes."""

    __slots__ = ("_associated", "_cipher", "_start", "id")

    def __init__(self, id: str, key: bytes) -> None:
        self.id = id
        self._cipher = _siv()(key)
        self._associated = id.encode()
        self._start = f"{PREFIX}{id}:"

    def seal(self, place: Place, value: str) -> str:
        return seal_all(place, (value,), (self,))[0] or ""

    def open(self, place: Place, text: str) -> str:
        """The clear value. NotOpened where ``text`` was not sealed by this key at this place."""
        from cryptography.exceptions import InvalidTag

        found = SEALED.fullmatch(text)
        if found is None or found[1] != self.id:
            raise NotOpened("the value is not sealed under this key")
        try:
            sealed = urlsafe_b64decode(found[2] + "=" * (-len(found[2]) % 4))
            clear = self._cipher.decrypt(place.nonce, sealed, place.data + self._associated)
            if self.seal(place, made := clear[1:].decode("utf-8", "surrogatepass")) != text:
                raise NotOpened("the value is not written as this platform writes it")
            return made
        except (InvalidTag, ValueError):
            raise NotOpened(
                "the value does not open: it was changed, or sealed at another place or under another key"
            ) from None


def seal_all(
    place: Place, values: Sequence[str | None], keys: Sequence[SubjectKey | None]
) -> list[str | None]:
    """Each of ``values`` sealed under the key beside it; None stays None and needs no key."""
    nonce, data = place.nonce, place.data
    sealed: list[str | None] = []
    for value, key in zip(values, keys, strict=True):
        if value is None:
            sealed.append(None)
            continue
        assert key is not None
        # a byte in front, for the library refuses to encrypt nothing; lone surrogates come from JSON
        clear = b"\1" + value.encode("utf-8", "surrogatepass")
        made = b2a_base64(key._cipher.encrypt(nonce, clear, data + key._associated), newline=False)
        sealed.append(f"{key._start}{made.translate(_URL_SAFE, b'=').decode()}")
    return sealed


def subject_of(text: str) -> str | None:
    """The id of the subject under whose key ``text`` is sealed; None where it is no sealed value."""
    found = SEALED.fullmatch(text)
    return found[1] if found else None


def subject_text(column: str, value: str) -> str:
    """How a subject is looked up: an e-mail address trimmed and in lower case, any other value as it is."""
    return subject_texts(column)(value)


def subject_texts(column: str) -> Callable[[str], str]:
    """``subject_text`` for many values of one column."""
    return (lambda value: lowered(value.strip())) if is_email(column) else (lambda value: value)
