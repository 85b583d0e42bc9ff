"""The key pair of a user: found by the variable's name, read, and told apart from what is none. Never shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from data_platform.warehouses.snowflake.config import SnowflakeConfig

_PEM = "-----BEGIN"


def written_key(config: SnowflakeConfig, environ: Mapping[str, str]) -> str:
    """The PEM text; ``ConfigurationError`` where the variable names none."""
    variable = config.private_key_env
    value = environ.get(variable, "").strip()
    if not value:
        raise ConfigurationError(
            f"The variable {variable} is not set. It holds the private key of Snowflake's user {config.user}: its PEM text,"
            " or the path of the file."
        )
    if value.startswith(_PEM):
        return value.replace("\\n", "\n")  # as one line, which many a secret store asks for
    try:
        text = Path(value).expanduser().read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        text = ""
    if not text.startswith(_PEM):
        raise ConfigurationError(
            f"The variable {variable} holds neither a private key in PEM form nor the path of a readable file with one."
        )
    return text


def private_key(config: SnowflakeConfig, environ: Mapping[str, str]) -> bytes:
    """The key as DER, for the client; ``ConfigurationError`` where the passphrase does not open it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    text = written_key(config, environ)
    passphrase = environ.get(config.passphrase_env or "", "")
    try:
        key = serialization.load_pem_private_key(text.encode(), passphrase.encode() if passphrase else None)
    except (TypeError, ValueError):
        named = config.passphrase_env or "a variable that `passphrase_env` names"
        raise ConfigurationError(
            f"The private key of {config.private_key_env} cannot be read: it is damaged, or its passphrase is not the one of"
            f" {named}."
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise ConfigurationError(
            f"The private key of {config.private_key_env} is no RSA key of 2048 bits or more, which Snowflake asks for."
        )
    der = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*der)
