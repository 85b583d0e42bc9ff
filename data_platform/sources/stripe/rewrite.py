"""Blocks named as Stripe names its objects need nothing else; one that names no object is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from data_platform.sources.kind import Rewritten
from data_platform.sources.stripe.objects import CHILDREN, DELIVERIES, OBJECTS

CHECKED = {"event": "event_id", "created": "created", "received": "received_at"}
"""The check of the table of deliveries, where its block says nothing else."""


def rewrite(data: Mapping[str, Any]) -> Rewritten | None:
    """The file with ``of`` and ``path`` of the tables of children; None where it has no tables to speak of."""
    tables = data.get("tables")
    if not isinstance(tables, Mapping):
        return None
    connection = data.get("connection")
    takes = isinstance(connection, Mapping) and "webhook_secret_env" in connection
    blocks: dict[str, Any] = {}
    mistakes: list[tuple[tuple[str | int, ...], str]] = []
    for name, block in tables.items():
        if name == DELIVERIES.name and (block is None or isinstance(block, Mapping)):
            block = {"delivered": CHECKED, **(block or {})}
        blocks[name] = block
        if not isinstance(block, Mapping):
            continue
        child = CHILDREN.get(str(name))
        if child and not {"of", "path", "object"} & block.keys():
            block = blocks[name] = {"of": child.of, "path": child.path, **block}
        parent = block.get("of")
        if isinstance(parent, str) and parent not in tables:
            mistakes.append((("tables", name), f"are parts of `{parent}`: add the table `{parent}`"))
        elif name == DELIVERIES.name and "object" not in block:
            if not takes:
                mistakes.append(
                    (("tables", name), "holds what Stripe delivers: add `connection.webhook_secret_env`")
                )
        elif parent is None and (wrong := block.get("object", name)) not in OBJECTS:
            path = ("tables", name, "object") if "object" in block else ("tables", name)
            near = get_close_matches(str(wrong), OBJECTS, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            listed = ", ".join([*OBJECTS, *CHILDREN])
            mistakes.append(
                (path, f"names no objects of Stripe's.{meant} Known: {listed}. Write the name under `object`")
            )
    if takes and DELIVERIES.name not in tables:
        mistakes.append(
            (
                ("tables",),
                f"must hold what Stripe delivers, or it waits for ever: add `{DELIVERIES.name}: {{}}`",
            )
        )
    return Rewritten({**data, "tables": blocks}, {}, tuple(mistakes))
