"""What paths the documents of a table hold, with values of which kind: none that looks personal may land unasked.

Every value of every record is looked at, so this is written for speed: one dictionary's answer a value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

MAP_KEYS = 300
"""An object of more different keys in all is a map, whose keys are data: they are one path, with ``*`` in their place."""
ANY = "*"
_PLAIN = re.compile(r'[^".\[\]]+')
_BASES = {str: "text", int: "int8", bool: "bool", float: "float8"}
_NOTHING = type(None)


class _Node:
    """An object's keys: ``leaves`` with the type of their values (``object``: several), ``below`` those of objects."""

    __slots__ = ("below", "leaves")

    def __init__(self) -> None:
        self.leaves: dict[str, type] = {}
        self.below: dict[str, _Node] = {}


class Paths:
    """The paths below each column, arrays passed through."""

    def __init__(self) -> None:
        self._below: dict[str, _Node] = {}

    def add(self, column: str, values: Iterable[Any]) -> None:
        node = self._below.get(column)
        if node is None:
            node = self._below[column] = _Node()
        for value in values:
            kind = type(value)
            if kind is dict:
                _object(value, node)
            elif kind is list:
                _array(value, node)

    def join(self, other: Paths) -> None:
        for column, node in other._below.items():
            _join(self._below.setdefault(column, _Node()), node)

    def found(self, only: Collection[str] = ()) -> dict[str, str | None]:
        """Each path with the base type of its values, where they are of one kind; ``only`` of these columns where
        there are any."""
        return {
            path: base
            for name, node in self._below.items()
            if not only or name in only
            for path, base in _flat(node, _quoted(name))
        }


def _object(value: dict[str, Any], node: _Node) -> None:
    leaves, below = node.leaves, node.below
    if len(value) > MAP_KEYS or len(leaves) > MAP_KEYS or len(below) > MAP_KEYS:
        value = {ANY: list(value.values())}
    for key, inner in value.items():
        kind = type(inner)
        if leaves.get(key) is kind or kind is _NOTHING:
            continue
        if kind is dict or kind is list:
            child = below.get(key)
            if child is None:
                child = below[key] = _Node()
            if kind is dict:
                _object(inner, child)
            else:
                _array(inner, child)
        else:
            leaves[key] = object if key in leaves else kind


def _array(value: list[Any], node: _Node) -> None:
    """Its elements are as if they stood in its place; those that are no objects are asked about by its own name."""
    for element in value:
        kind = type(element)
        if kind is dict:
            _object(element, node)
        elif kind is list:
            _array(element, node)


def _join(node: _Node, other: _Node) -> None:
    for key, kind in other.leaves.items():
        node.leaves[key] = kind if node.leaves.get(key, kind) is kind else object
    for key, below in other.below.items():
        _join(node.below.setdefault(key, _Node()), below)


def _flat(node: _Node, head: str) -> Iterator[tuple[str, str | None]]:
    for key in dict.fromkeys((*node.leaves, *node.below)):
        path = f"{head}.{_quoted(key)}"
        plain = key in node.leaves and key not in node.below
        yield path, _BASES.get(node.leaves[key], "text") if plain else "text"
        if key in node.below:
            yield from _flat(node.below[key], path)


def _quoted(key: str) -> str:
    if _PLAIN.fullmatch(key):
        return key
    return '"' + key.replace('"', '""') + '"'
