"""Signatures of stored manifests, with a key that no store holds.

A digest only detects damage, because anybody who can write to a store can recompute it. A signature (HMAC-SHA-256 of
the digest, which covers every field and, through ``previous``, every earlier batch) proves that this platform wrote the
manifest. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import ConfigurationError
from data_platform.landing.part import canonical
from data_platform.yaml_fields import VARIABLE

MIN_KEY_LENGTH = 32
DEMANDED_IN = "prod"


class SigningConfig(BaseModel):
    """``{key_env: DATA_PLATFORM_LEDGER_KEY, required: true}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_env: str = Field(
        default="DATA_PLATFORM_LEDGER_KEY",
        pattern=VARIABLE,
        description="Environment variable that holds the key under which manifests are signed; at least 32"
        " characters. Keep it where nobody who can write to a store can read it.",
    )
    previous_key_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the previous key: its signatures are still valid.",
    )
    required: bool | None = Field(
        default=None,
        description="Whether nothing is landed, loaded or backed up without the key. Unless said, only in the"
        " environment `prod`.",
    )


@dataclass(frozen=True, slots=True)
class Signer:
    """``keys`` are the present one and those before, none where nothing is signed; ``problem`` is why a key
    that is needed cannot be used."""

    variable: str = ""
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    problem: str = ""

    @classmethod
    def of(cls, config: SigningConfig, environment: str, environ: Mapping[str, str]) -> Signer:
        required = environment == DEMANDED_IN if config.required is None else config.required
        names = [config.key_env, *([config.previous_key_env] if config.previous_key_env else [])]
        found = {name: environ.get(name, "").strip() for name in names}
        problem = ""
        for name, key in found.items():
            if key and len(key) < MIN_KEY_LENGTH:
                problem = f"is shorter than {MIN_KEY_LENGTH} characters"
            elif not key and (required or any(found.values())) and name == config.key_env:
                problem = "is not set"
            if problem:
                problem = (
                    f"The environment variable {name} {problem}; manifests of the environment {environment} are signed"
                    " under it, so that nobody who may write to a store can put other rows there. Set it"
                    " (`openssl rand -hex 32`), and keep a copy apart from the stores."
                )
                break
        keys = tuple(key.encode() for key in found.values() if key)
        return cls(config.key_env, () if problem else keys, problem)

    def ready(self) -> None:
        """ConfigurationError where a key is needed and cannot be used."""
        if self.problem:
            raise ConfigurationError(self.problem)

    @property
    def signs(self) -> bool:
        return bool(self.keys)

    def sign(self, what: str, digest: str) -> str:
        """The signature over ``digest`` of the kind ``what``; empty without a key."""
        return _signature(self.keys[0], what, digest) if self.keys else ""

    def accepts(self, what: str, digest: str, signature: str) -> bool:
        """Whether ``signature`` was made with one of the keys."""
        return any(
            hmac.compare_digest(_signature(key, what, digest).encode(), signature.encode())
            for key in self.keys
        )


NOT_SIGNED = Signer()


def _signature(key: bytes, what: str, digest: str) -> str:
    return hmac.new(key, canonical({"what": what, "digest": digest}), hashlib.sha256).hexdigest()
