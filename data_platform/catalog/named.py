"""Picks what has a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from data_platform.errors import ConfigurationError

V = TypeVar("V")


def named(values: Mapping[str, V], name: str, problem: str, these: str) -> V:
    """ConfigurationError, with near matches, when there is none."""
    if name in values:
        return values[name]
    from difflib import get_close_matches

    near = get_close_matches(name, values, n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(
        f"{problem[0].upper()}{problem[1:]} {name!r}.{suggestion} {these}: {', '.join(values) or 'none'}."
    )
