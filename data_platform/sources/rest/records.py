"""Where an answer's records are."""

from __future__ import annotations

from data_platform.sources.rest.json_path import EVERY, Step, elements, fields, find

NAMES = (
    "data",
    "items",
    "results",
    "records",
    "entries",
    "rows",
    "values",
    "value",
    "entities",
    "objects",
    "list",
)
"""What APIs call their list of records, the commonest first."""


def choose(body: bytes) -> tuple[Step, ...]:
    """The selector for answers like ``body``: of a list the list itself, of an object the list that has a usual name or is
    its only list of objects. Anything else is one record."""
    if body[:1] != b"{":
        return ()
    lists = {name: value for name, value in fields(body).items() if value[:1] == b"["}
    for name in NAMES:
        if name in lists and _holds_objects(lists[name]):
            return (name,)
    holding = [name for name, value in lists.items() if _holds_objects(value)]
    return (holding[0],) if len(holding) == 1 else ()


def select(body: bytes, selector: tuple[Step, ...]) -> list[bytes] | None:
    """The records, each as it is written; None where there is no such place, and an empty list where it is empty."""
    found = find(body, selector)
    if not found:
        return [] if EVERY in selector else None
    records: list[bytes] = []
    for place in found:
        if place[:1] == b"[":
            records += elements(place)
        elif place != b"null":
            records.append(place)
    return records


def _holds_objects(text: bytes) -> bool:
    return all(element[:1] == b"{" for element in elements(text)[:1])
