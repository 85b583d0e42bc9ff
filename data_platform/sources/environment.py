"""What a source is told by the environment, and by nothing else: credentials, and addresses that differ."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.errors import ConfigurationError


def value_of(source: str, variable: str, environ: Mapping[str, str]) -> str:
    """The value of a variable that ``source`` names. ConfigurationError where it has none that can be sent."""
    value = environ.get(variable, "").strip()
    if not value:
        raise ConfigurationError(
            f"{source}: the environment variable {variable} is not set. Put its value into .env or the environment."
        )
    if any(ord(character) < 32 for character in value):
        raise ConfigurationError(
            f"{source}: the environment variable {variable} holds a line break or control character."
        )
    return value
