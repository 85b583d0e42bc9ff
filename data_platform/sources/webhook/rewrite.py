"""Rows of webhooks are only added; and one table must hold every delivery, or some would be lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_platform.sources.kind import Rewritten


def rewrite(data: Mapping[str, Any]) -> Rewritten | None:
    """The file with `strategy: append` in every block without one; None where it has no tables to speak of."""
    tables = data.get("tables")
    if not isinstance(tables, Mapping) or not tables:
        return None
    blocks: dict[str, Any] = {}
    for name, block in tables.items():
        block = {} if block is None else block
        added = isinstance(block, Mapping) and "of" not in block
        blocks[name] = {"strategy": "append", **block} if added else block
    whole = [b for b in blocks.values() if isinstance(b, Mapping) and not {"events", "of"} & b.keys()]
    mistakes: list[tuple[tuple[str | int, ...], str]] = []
    if not whole:
        mistakes.append(
            (
                ("tables",),
                "must hold one table of all events, so that no delivery is lost: add `events: {}`",
            )
        )
    return Rewritten({**data, "tables": blocks}, {}, tuple(mistakes))
