"""Blocks named as Zendesk names its objects need nothing else; one that names no object is a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from data_platform.sources.kind import Rewritten
from data_platform.sources.zendesk.keys import COMMENTS
from data_platform.sources.zendesk.objects import CHILDREN, OBJECTS

Mistake = tuple[tuple[str | int, ...], str]


def rewrite(data: Mapping[str, Any]) -> Rewritten | None:
    """The file with ``of`` and ``path`` of the tables of children; None where it has no tables to speak of."""
    tables = data.get("tables")
    if not isinstance(tables, Mapping):
        return None
    blocks: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for name, block in tables.items():
        blocks[name] = block
        if block is None:
            block = {}
        if not isinstance(block, Mapping):
            continue
        child = CHILDREN.get(str(name))
        if child and not {"of", "path", "object"} & block.keys():
            block = blocks[name] = {"of": child.of, "path": child.path, **block}
        mistakes += _mistakes(str(name), block, tables)
    return Rewritten({**data, "tables": blocks}, {}, tuple(mistakes))


def _mistakes(name: str, block: Mapping[str, Any], tables: Mapping[str, Any]) -> Iterator[Mistake]:
    path: tuple[str | int, ...] = ("tables", name)
    parent = block.get("of")
    if parent is not None:
        if isinstance(parent, str) and parent not in tables:
            yield path, f"its rows are parts of `{parent}`: add the table `{parent}`"
        return
    wrong = str(block.get("object") or name)
    found = OBJECTS.get(wrong)
    if found is None:
        near = get_close_matches(wrong, [*OBJECTS, *CHILDREN], 1)
        meant = f" Did you mean {near[0]}?" if near else ""
        yield (
            (*path, "object") if block.get("object") else path,
            f"names nothing that is read from Zendesk.{meant} Known: {', '.join([*OBJECTS, *CHILDREN])}. Write the"
            " name under `object`",
        )
        return
    if block.get("include") and found.name != "ticket_events":
        yield (*path, "include"), f"`{COMMENTS}` belongs to ticket_events alone"
    if block.get("deleted") and found.deleted is None and found.name != "metric_sets":
        yield (*path, "deleted"), f"Zendesk tells of no deleted {found.name}: take the key out"
