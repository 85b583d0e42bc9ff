"""Words that depend on a number. Pure."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """``1 table``, ``2 tables``, ``2 batches``."""
    if count == 1:
        return f"{count:,} {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}{'es' if noun.endswith(('ch', 's')) else 's'}"
