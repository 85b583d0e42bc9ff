"""The secrets under which a sender signs, from the environment."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.errors import ConfigurationError
from data_platform.sources.environment import value_of
from data_platform.sources.inbox.hook import Hook, keys_of


def secrets_of(source: str, hook: Hook, environ: Mapping[str, str]) -> list[bytes]:
    """All that are good now. ConfigurationError where there is none, or one that cannot be used."""
    text = value_of(source, hook.secret_env, environ)
    try:
        return keys_of(hook.signature, text)
    except ValueError as error:
        raise ConfigurationError(
            f"{source}: the environment variable {hook.secret_env} {error}. Copy the secret anew from where the sender shows it."
        ) from None
