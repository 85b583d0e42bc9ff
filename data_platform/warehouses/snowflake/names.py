"""How a name of the catalog stands in Snowflake: in upper case, so that it is found unquoted, however it is typed.

docs/decisions says why. Only the letters A to Z change: what Snowflake makes of others is not known here. A source's own
spelling that is not all in lower case is kept in the comment of the column.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable

from data_platform.sql import quoted

STAGE_SCHEMA = "_data_platform_stage"
"""Rows on their way, the lock of each raw table, tables that are being built. Nobody reads it."""
SNAPSHOT_PREFIX = "_data_platform_snapshot_"
"""What the names of the clones of schemas begin with (``snapshots.py``)."""
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def folded(name: str) -> str:
    """The name that Snowflake stores."""
    return name.translate(_UPPER)


def landed(stored: str, comment: str | None = None) -> str:
    """The name as it landed, of the stored one and its comment. A name that others made in lower case stays as it is."""
    if comment and folded(comment) == stored:
        return comment
    return stored.translate(_LOWER) if stored == folded(stored) else stored


def spelling(name: str) -> str | None:
    """What the comment of a column keeps: the name, where it is not all in lower case."""
    return name if landed(folded(name)) != name else None


def quote(name: str) -> str:
    return quoted(folded(name))


def not_told_apart(names: Iterable[str]) -> list[str]:
    """Those of the ``names`` that another one of them is stored as."""
    every = list(names)
    times = Counter(map(folded, every))
    return [name for name in every if times[folded(name)] > 1]
