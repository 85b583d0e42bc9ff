"""What every master key promises. It wraps the few keys of a keystore that wrap all others, so a KMS is asked once when a
keystore is opened, and not once a person."""

from __future__ import annotations

from typing import Protocol


class Master(Protocol):
    @property
    def name(self) -> str:
        """Tells this master from every other one. It is stored beside what it wrapped, and is no secret."""

    @property
    def label(self) -> str:
        """What a person calls it: the variable, or the key in the KMS."""

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """``key`` as nobody reads it without this master. ConfigurationError where it cannot be used."""

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """The key. ConfigurationError where it was wrapped by another master, for another ``purpose``, or was changed."""
