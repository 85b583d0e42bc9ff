"""What the blocks of a file say of each other: whose rows are within whose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_platform.sources.kind import Rewritten

Mistake = tuple[tuple[str | int, ...], str]


def rewrite(data: Mapping[str, Any]) -> Rewritten:
    """The file as it is, with its mistakes."""
    tables = data.get("tables")
    blocks = tables if isinstance(tables, Mapping) else {}
    found = (mistake for name, block in blocks.items() for mistake in _mistakes(name, block, blocks))
    return Rewritten(data, {}, tuple(found))


def _mistakes(name: str, block: Any, blocks: Mapping[str, Any]) -> Iterator[Mistake]:
    parent = block.get("of") if isinstance(block, Mapping) else None
    if not isinstance(parent, str):
        return
    path = ("tables", name, "of")
    of = blocks.get(parent)
    if not isinstance(of, Mapping):
        yield path, f"names no block of this file: {parent}. Name the one whose records hold these rows"
    elif "of" in of:
        yield path, f"names {parent}, which is within another table itself: name the table of the files"
    elif "key" in of:
        yield (
            path,
            f"names {parent}, which has a `key` of its own: rows within records are known by their file and the record's"
            f" number in it. Leave `key` out of {parent}",
        )
