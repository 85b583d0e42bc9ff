"""What paths the documents of a table hold, with values of which kind: none that looks personal may land unasked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

MAP_KEYS = 300
"""An object of more different keys in all is a map, whose keys are data: they are one path, with ``*`` in their place."""
ANY = "*"
_PLAIN = re.compile(r'[^".\[\]]+')
_BASES = {str: "text", int: "int8", bool: "bool"}


class Paths:
    """The paths below each column, arrays passed through."""

    def __init__(self) -> None:
        self._below: dict[str, Any] = {}

    def add(self, column: str, values: Iterable[Any]) -> None:
        node = self._below.setdefault(column, {})
        for value in values:
            if type(value) is dict or type(value) is list:
                _walk(value, node)

    def join(self, other: Paths) -> None:
        _join(self._below, other._below)

    def found(self) -> dict[str, str | None]:
        """Each path with the base type of its values, where they are of one kind."""
        return {path: base for name, node in self._below.items() for path, base in _flat(node, _quoted(name))}


def _walk(value: Any, node: dict[Any, Any]) -> None:
    """``node`` has a node for each key, and under each type of values that are neither objects nor arrays True."""
    if type(value) is list:
        for element in value:
            if type(element) is dict or type(element) is list:
                _walk(element, node)
            elif element is not None:
                node[type(element)] = True
        return
    if len(node) > MAP_KEYS or len(value) > MAP_KEYS:
        everything = node.setdefault(ANY, {})
        for inner in value.values():
            _one(inner, everything)
        return
    for key, inner in value.items():
        below = node.get(key)
        if below is None:
            below = node[key] = {}
        _one(inner, below)


def _one(value: Any, below: dict[Any, Any]) -> None:
    kind = type(value)
    if kind is dict or kind is list:
        _walk(value, below)
    elif value is not None:
        below[kind] = True


def _join(node: dict[Any, Any], other: dict[Any, Any]) -> None:
    for key, below in other.items():
        if isinstance(key, str):
            _join(node.setdefault(key, {}), below)
        else:
            node[key] = True


def _flat(node: dict[Any, Any], head: str) -> Iterator[tuple[str, str | None]]:
    for key, below in node.items():
        if isinstance(key, str):
            path = f"{head}.{_quoted(key)}"
            kinds = [kind for kind in below if not isinstance(kind, str)]
            yield path, _BASES.get(kinds[0], "float8") if len(kinds) == 1 else "text"
            yield from _flat(below, path)


def _quoted(key: str) -> str:
    if _PLAIN.fullmatch(key):
        return key
    return '"' + key.replace('"', '""') + '"'
