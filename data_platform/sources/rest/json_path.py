"""Paths into a JSON text: the part of JSONPath that names places (RFC 9535 without filters, slices and descent).

Values are found as the text that they are written in, so that no number is rounded and no record rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

EVERY: Final = None
"""The step to every element of an array, or every value of an object."""
Step = str | int | None

_STEP = re.compile(
    r"""\.?(?P<name>[^\s.\[\]'"*$()?@,:]+)|\.?(?P<every>\*|\[\*\])|\[(?P<index>\d+)\]|\[?(?P<quote>['"])(?P<quoted>.+?)(?P=quote)\]?"""
)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def steps_of(path: str) -> tuple[Step, ...]:
    """``$.data[*].id`` -> ("data", EVERY, "id"). ValueError for what is not read here."""
    rest = path.strip()
    rest = rest[1:] if rest.startswith("$") else rest
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None or not found[0]:
            raise ValueError(
                "is no path that is read here: write keys joined by dots, `[*]` for every element, `[0]` for one;"
                " filters, slices and `..` are not supported"
            )
        if found["every"]:
            steps.append(EVERY)
        elif found["index"]:
            steps.append(int(found["index"]))
        else:
            steps.append(found["name"] or found["quoted"])
        at = found.end()
    return tuple(steps)


def find(text: bytes, steps: Sequence[Step]) -> list[bytes]:
    """The values at a path, as their texts; none where there is no such place."""
    places = [text]
    for step in steps:
        places = [inner for place in places for inner in _inner(place, step)]
    return places


def find_one(text: bytes, steps: Sequence[Step]) -> bytes | None:
    """The first value at a path that is not null."""
    return next((found for found in find(text, steps) if found != b"null"), None)


def finder(steps: Sequence[Step]) -> Callable[[bytes], bytes | None]:
    """``find_one`` of one path, for many texts: of a path of names alone, nothing else of a text is decoded."""

    def general(text: bytes) -> bytes | None:
        return find_one(text, steps)

    if not steps or not all(isinstance(step, str) for step in steps):
        return general
    shape: Any = msgspec.Raw
    for name in reversed(steps):
        kind = shape if shape is msgspec.Raw else shape | None
        shape = msgspec.defstruct("Place", [("at", kind, None)], rename={"at": str(name)})
    decode, depth = msgspec.json.Decoder(shape).decode, len(steps)

    def quick(text: bytes) -> bytes | None:
        try:
            place: Any = decode(text)
        except msgspec.ValidationError:  # something on the way is no object
            return general(text)
        for _ in range(depth):
            if place is None:
                return None
            place = place.at
        return None if place is None or (found := bytes(place)) == b"null" else found

    return quick


def elements(text: bytes) -> list[bytes]:
    """Those of an array."""
    return [bytes(raw) for raw in _ARRAY.decode(text)]


def fields(text: bytes) -> dict[str, bytes]:
    """Those of an object; empty for any other value."""
    return {name: bytes(raw) for name, raw in _OBJECT.decode(text).items()} if text[:1] == b"{" else {}


def word(text: bytes | None) -> str | None:
    """A string's characters, a number as it is written, ``true`` and ``false``; None for null and for documents."""
    if text is None or text == b"null" or text[:1] in (b"{", b"["):
        return None
    return msgspec.json.decode(text, type=str) if text[:1] == b'"' else text.decode()


def _inner(text: bytes, step: Step) -> list[bytes]:
    first: Any = text[:1]
    if first == b"{" and not isinstance(step, int):
        held = _OBJECT.decode(text)
        if step is EVERY:
            return [bytes(raw) for raw in held.values()]
        return [bytes(held[step])] if step in held else []
    if first == b"[" and not isinstance(step, str):
        items = _ARRAY.decode(text)
        if step is EVERY:
            return [bytes(raw) for raw in items]
        return [bytes(items[step])] if step < len(items) else []
    return []
