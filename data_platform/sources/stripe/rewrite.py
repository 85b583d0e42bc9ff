"""Blocks named as Stripe names its objects need nothing else; one that names no object is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from data_platform.sources.kind import Rewritten
from data_platform.sources.stripe.objects import CHILDREN, OBJECTS


def rewrite(data: Mapping[str, Any]) -> Rewritten | None:
    """The file with ``of`` and ``path`` of the tables of children; None where it has no tables to speak of."""
    tables = data.get("tables")
    if not isinstance(tables, Mapping):
        return None
    blocks: dict[str, Any] = {}
    mistakes: list[tuple[tuple[str | int, ...], str]] = []
    for name, block in tables.items():
        blocks[name] = block
        if not isinstance(block, Mapping):
            continue
        child = CHILDREN.get(str(name))
        if child and not {"of", "path", "object"} & block.keys():
            block = blocks[name] = {"of": child.of, "path": child.path, **block}
        parent = block.get("of")
        if isinstance(parent, str) and parent not in tables:
            mistakes.append((("tables", name), f"are parts of `{parent}`: add the table `{parent}`"))
        elif parent is None and (wrong := block.get("object", name)) not in OBJECTS:
            path = ("tables", name, "object") if "object" in block else ("tables", name)
            near = get_close_matches(str(wrong), OBJECTS, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            listed = ", ".join([*OBJECTS, *CHILDREN])
            mistakes.append(
                (path, f"names no objects of Stripe's.{meant} Known: {listed}. Write the name under `object`")
            )
    return Rewritten({**data, "tables": blocks}, {}, tuple(mistakes))
