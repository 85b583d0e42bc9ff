"""Records kept as they came, sealed: AES-256-GCM under a key derived from the one of hashes (HKDF-SHA-256, RFC 5869).

A sealed value is twelve random bytes, then the ciphertext with its tag. It opens at its own place only, so that nobody
can move one to where others look at it.
"""

from __future__ import annotations

import os

from data_platform.errors import ConfigurationError

METHOD = "AES-256-GCM"
_QUARANTINE = b"data_platform quarantine"
_NONCE = 12


class Sealer:
    """Under ``key``; what is sealed for another ``purpose`` is sealed under another key. One key seals 2**32 values at most: the
    odds that a nonce comes twice stay below 2**-32."""

    def __init__(self, key: bytes, purpose: bytes = _QUARANTINE) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        self._cipher = AESGCM(HKDF(SHA256(), 32, None, purpose).derive(key))

    def seal(self, value: bytes, place: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """ConfigurationError where it was sealed under another key, or at another place."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"{place} does not open: it was altered, or sealed under another key than the one that is set now."
                " Set the key that was in use when it was written."
            ) from None
