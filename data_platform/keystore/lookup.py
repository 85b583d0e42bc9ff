"""How a subject is looked up: by a token of what its tables call it, made under a secret of the keystore. Pure.

A token is the HMAC-SHA-256 of the subject under a key of its kind. Keystores that were made since keep 128 bits of it: tokens lie at
random in the index, so a first sync changes the fewer pages the shorter they are.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from collections.abc import Iterable
from typing import Any

NOBODY_TOKEN = "nobody"
"""The token of the subject of rows that name none; no other token is as short."""
SECRET = "lookup 128"
"""The secret's name in a new keystore."""
WHOLE_SECRET = "lookup"
"""Its name in a keystore that keeps tokens whole: those that earlier versions made."""
_BYTES = 16


class Lookup:
    def __init__(self, name: str, secret: bytes) -> None:
        self.name, self.secret = name, secret
        self._keyed: dict[str, Any] = {}

    def tokens(self, kind: str, subjects: Iterable[str | None]) -> list[str]:
        """The tokens of ``subjects`` of ``kind``."""
        keyed, whole = self._of_kind(kind), self.name == WHOLE_SECRET
        made: list[str] = []
        for subject in subjects:
            if subject is None:
                made.append(NOBODY_TOKEN)
                continue
            one = keyed.copy()
            one.update(subject.encode("utf-8", "surrogatepass"))
            digest = one.finalize()
            made.append(digest.hex() if whole else b2a_base64(digest[:_BYTES], newline=False)[:-2].decode())
        return made

    def _of_kind(self, kind: str) -> Any:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.hmac import HMAC  # half the time of `hmac` for short texts

        if kind not in self._keyed:
            self._keyed[kind] = HMAC(hmac.digest(self.secret, kind.encode(), "sha256"), SHA256())
        return self._keyed[kind]
