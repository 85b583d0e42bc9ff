"""Rows of webhooks are only added; and one table must hold every delivery, or some would be lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_platform.sources.kind import Rewritten
from data_platform.sources.webhook.event import KNOWN, PAYLOAD


def rewrite(data: Mapping[str, Any]) -> Rewritten | None:
    """The file with `strategy: append` in every block without one, and `only` in those of whole deliveries; None where it has no tables to speak of."""
    tables = data.get("tables")
    if not isinstance(tables, Mapping) or not tables:
        return None
    blocks: dict[str, Any] = {}
    for name, block in tables.items():
        block = {} if block is None else block
        blocks[name] = _completed(block) if isinstance(block, Mapping) and "of" not in block else block
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


def _completed(block: Mapping[str, Any]) -> dict[str, Any]:
    """A table of whole deliveries has no `_record` beside `payload`: they are the same."""
    fields = block.get("fields", {})
    if "record" in block or "only" in block or not isinstance(fields, Mapping):
        return {"strategy": "append", **block}
    return {"strategy": "append", "only": [*KNOWN, PAYLOAD, *fields], **block}
