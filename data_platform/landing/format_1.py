"""A manifest's fields as format 1 had them, with PostgreSQL's numbers, as those of format 2. Pure.

Its bytes stay as they are, and its digest is over those: only what is made of them is translated. Nothing writes
this format any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_platform.landing.grammar import is_instant, is_number, must
from data_platform.tables import SOURCE_XMIN


def to_format_2(raw: Mapping[str, Any]) -> dict[str, Any]:
    """ValueError, KeyError, TypeError or AttributeError where ``raw`` is no manifest of format 1."""
    snapshot, identity = raw["snapshot"], raw.get("relation")
    fields = {name: value for name, value in raw.items() if name not in _MOVED}
    _must_be_a_server(snapshot)
    if identity is not None:
        numbers = [identity["oid"], identity["storage"], *identity["leaves"], *identity["columns"].values()]
        must(all(map(is_number, numbers)), "its relation's numbers are invalid")
    return fields | {
        "snapshot": {
            "system": _system(snapshot),
            "text": snapshot["text"],
            "taken_at": snapshot["taken_at"],
        },
        "position_before": _position(raw["watermark_before"]),
        "position_after": _position(raw["watermark_after"]),
        "identity": None if identity is None else {name: identity[name] for name in _IDENTITY},
        "version": SOURCE_XMIN if any(column[0] == SOURCE_XMIN for column in raw["columns"]) else None,
        "deleted": None,
        "written_by": "",
        "content": raw.get("content"),
        "boundary": raw.get("boundary"),
    }


_MOVED = ("relation", "watermark_before", "watermark_after")
_IDENTITY = ("oid", "storage", "leaves", "columns", "meanings")


def _position(mark: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    _must_be_a_server(mark)
    xmin, horizon, cursor = mark["xmin"], mark["horizon"], mark["cursor"]
    must(horizon is None or is_instant(horizon), "its horizon is not an instant")
    must(cursor is None or isinstance(cursor, str), "its cursor is not text")
    pieces = [] if xmin is None else [f"xmin {xmin}"]
    pieces += [] if horizon is None else [f"clock {horizon[:19].replace('T', ' ')}"]
    pieces += [] if cursor is None else [f"cursor {cursor}"]
    value = {"xmin": xmin, "horizon": horizon, "cursor": cursor}
    return {"system": _system(mark), "value": value, "text": ", ".join(pieces)[:200]}


def _must_be_a_server(mark: Mapping[str, Any]) -> None:
    must(isinstance(mark["system_identifier"], str) and is_number(mark["timeline"]), "its server is invalid")
    must(mark["xmin"] is None or is_number(mark["xmin"], 0, 2**64), "its row version is not a number")


def _system(mark: Mapping[str, Any]) -> str:
    return f"{mark['system_identifier']}@{mark['timeline']}"
