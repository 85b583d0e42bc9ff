"""A master key in an environment variable."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import ConfigurationError
from data_platform.keystore.masters import Master
from data_platform.yaml_fields import VARIABLE

MIN_KEY_LENGTH = 32
_NONCE = 12


class EnvironmentMasterConfig(BaseModel):
    """``{kind: environment, key_env: DATA_PLATFORM_MASTER_KEY}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["environment"] = Field(
        default="environment", description="What holds the master key: `environment`, `aws_kms` or `gcp_kms`."
    )
    key_env: str = Field(
        default="DATA_PLATFORM_MASTER_KEY",
        pattern=VARIABLE,
        description="Environment variable that holds the master key; at least 32 characters (`openssl rand -hex 32`).",
    )

    def open(self, environ: Mapping[str, str]) -> Master:
        return EnvironmentMaster(self.key_env, environ.get(self.key_env, "").strip())


class EnvironmentMaster:
    """AES-256-GCM under a key derived from the variable's value (HKDF-SHA-256)."""

    def __init__(self, variable: str, value: str) -> None:
        if len(value) < MIN_KEY_LENGTH:
            state = "is not set" if not value else f"is shorter than {MIN_KEY_LENGTH} characters"
            raise ConfigurationError(
                f"The environment variable {variable} {state}; it wraps the keys under which `seal` seals personal values."
                " Set it (`openssl rand -hex 32`), and keep a copy apart from the keystore: without it nothing that is sealed"
                " can be read."
            )
        self.label = variable
        self._key = value.encode()

    @property
    def name(self) -> str:
        return "environment:" + hmac.new(self._key, b"name", hashlib.sha256).hexdigest()[:16]

    def wrap(self, key: bytes, purpose: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher().encrypt(nonce, key, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self._cipher().decrypt(wrapped[:_NONCE], wrapped[_NONCE:], purpose.encode()))
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"A key of the keystore does not open with the master key in {self.label}: it was changed, or another master"
                " wrapped it. Set the master key that was in use, or restore the keystore from its newest backup."
            ) from None

    def _cipher(self):  # type: ignore[no-untyped-def]
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return AESGCM(HKDF(SHA256(), 32, None, b"data_platform keystore master").derive(self._key))
