"""Personal values inside JSON documents, named by path: replaced where they are, everything else byte for byte.

A path is the keys that lead to a value, joined by dots: ``customer.email``; a key with a dot in it is written in double
quotes. Every element of an array is meant, on the way and at its end: ``lines.phone`` reaches the phone of each line, ``phones`` each phone.

    null            stays null
    a string        is treated as a column's value is, and the result is a string
    anything else   a number, true, an object: its JSON text is treated, and the result is a string

The document is never parsed into values and written again: that would round numbers and merge repeated keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from data_platform.privacy.seal import Place, SubjectKey
from data_platform.privacy.treatments import REDACTED, hash_value, masked
from data_platform.tables import Treatment

Treat = Callable[[str, SubjectKey | None], str]
"""The treated value; the key is that of the person whom the document is about, where anything in it is sealed."""
PlaceOf = Callable[[tuple[str, ...]], Place]

_TOKEN = re.compile(
    r'[ \t\n\r]*+(?:(?P<string>"(?:[^"\\]++|\\.)*+")|(?P<punctuation>[{}\[\]:,])|(?P<literal>[^\s{}\[\]:,"]+))',
    re.S,
)
_TO_BRACKET = re.compile(r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+[\[\]{}]', re.S)
_LITERAL = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NO_JSON = "the document is no JSON"
_KEY = re.compile(r'"((?:[^"]|"")+)"|([^".\[\]]+)')


class NotADocument(ValueError):
    """The text is no JSON. The message holds nothing of it."""


def parse_path(text: str) -> tuple[str, ...]:
    """The keys of a path; ``[]`` behind a key is allowed and changes nothing. ValueError where it is no path."""
    keys, position = [], 0
    while True:
        found = _KEY.match(text, position)
        if found is None:
            raise ValueError(f"{text!r} is no path: write keys joined by dots, such as customer.email")
        keys.append(found[1].replace('""', '"') if found[1] is not None else found[2])
        position = found.end()
        while text.startswith("[]", position):
            position += 2
        if position == len(text):
            return tuple(keys)
        if text[position] != ".":
            raise ValueError(f"{text!r} is no path: write keys joined by dots, such as customer.email")
        position += 1


def path_of(key: str, columns: Collection[str]) -> tuple[str, ...]:
    """The keys that lead to what a key of ``personal`` is about: a column's name, whatever dots it has, or a path."""
    if key in columns:
        return (key,)
    try:
        return parse_path(key)
    except ValueError:
        return (key,)


def root_of(key: str) -> str | None:
    """The column that a path leads into; None where ``key`` is no path into anything."""
    try:
        path = parse_path(key)
    except ValueError:
        return None
    return path[0] if len(path) > 1 else None


@dataclass
class _Node:
    """A key on the way to something that is treated."""

    treat: Treat | None = None
    below: dict[str, _Node] = field(default_factory=dict)


_NOTHING = _Node()


class Documents:
    """Treats documents of one column. ``treatments`` has a treatment for each path, ``key`` is the secret of hashes, ``place`` gives
    where a path's values are sealed. What is kept stays byte for byte."""

    def __init__(
        self,
        treatments: Mapping[tuple[str, ...], Treatment],
        key: bytes | None,
        place: PlaceOf | None = None,
    ) -> None:
        self._root = _Node()
        for path, treatment in treatments.items():
            if treatment == "keep":
                continue
            node = self._root
            for step in path:
                node = node.below.setdefault(step, _Node())
            node.treat = _treat(path, treatment, key, place)

    def treated(self, document: str | None) -> str | None:
        """``document`` with its personal values replaced. NotADocument where it cannot be read, ValueError where something in
        it is to be sealed. DuckDB calls it and counts its parameters."""
        return self.treated_for(document, None)

    def treated_for(self, document: str | None, subject: SubjectKey | None) -> str | None:
        """As ``treated``; what is sealed is sealed under the key of ``subject``, the person whom the document is about."""
        if document is None:
            return None
        pieces: list[str] = []
        copied = 0
        for start, end, treat in _spans(document, self._root):
            text = document[start:end]
            if text == "null":
                continue
            value = json.loads(text) if text.startswith('"') else text
            pieces += document[copied:start], json.dumps(treat(value, subject), ensure_ascii=False)
            copied = end
        return "".join((*pieces, document[copied:])) if pieces else document


def _treat(path: tuple[str, ...], treatment: Treatment, key: bytes | None, place: PlaceOf | None) -> Treat:
    if treatment == "redact":
        return lambda _value, _subject: REDACTED
    if treatment == "mask":
        return lambda value, _subject: masked(value)
    if treatment == "seal":
        if place is None:
            raise ValueError("it is not known where sealed values land")
        return partial(_sealed, place(path))
    if key is None:
        raise ValueError("the key of the hash treatment is not set")
    return lambda value, _subject: hash_value(path[-1], value, key)


def _sealed(place: Place, value: str, subject: SubjectKey | None) -> str:
    if subject is None:
        raise ValueError("a value is sealed under the key of a subject, and there is none")
    return subject.seal(place, value)


def _check(document: str) -> None:
    try:
        _CHECKER.decode(document)
    except (ValueError, RecursionError):
        raise NotADocument(_NO_JSON) from None


def _no_constant(name: str) -> None:
    """Python would take NaN and Infinity."""
    raise ValueError(name)


_CHECKER = json.JSONDecoder(parse_int=str, parse_constant=_no_constant)
"""Reads every number as text or roughly: what it makes is thrown away. Some thousand levels are the most it takes."""


def strings(document: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Where each string value of a document begins and ends, and the path to it. NotADocument where it is none."""
    _check(document)
    open_: list[tuple[str, tuple[str, ...]]] = []
    path: tuple[str, ...] = ()
    key_next = False
    for found in _TOKEN.finditer(document):
        kind = str(found.lastgroup)
        token = found[kind]
        if kind == "string" and key_next:
            path = (*open_[-1][1], json.loads(token))
        elif kind == "string":
            yield found.start(kind), found.end(kind), path
        elif token in ("{", "["):
            open_.append((token, path))
            key_next = token == "{"
        elif token in ("}", "]"):
            path = open_.pop()[1]
            key_next = False
        elif token in (",", ":"):
            key_next = token == "," and open_[-1][0] == "{"


def _closed(document: str, position: int) -> int:
    """Where what was opened just before ``position`` ends. Nothing in it is looked at."""
    depth = 1
    while depth:
        found = _TO_BRACKET.match(document, position)
        if found is None:
            raise NotADocument(_NO_JSON)
        position = found.end()
        depth += 1 if document[position - 1] in "[{" else -1
    return position


def _spans(document: str, root: _Node) -> Iterator[tuple[int, int, Treat]]:
    """Where the values to be treated begin and end, in order. Everything that is no JSON is NotADocument."""
    open_: list[tuple[str, _Node, int]] = []  # what closes it, whose values it holds, where it begins
    _check(document)
    node, wanted, position = root, "value", 0
    while wanted != "nothing":
        found = _TOKEN.match(document, position)
        if found is None:
            raise NotADocument(_NO_JSON)
        kind, position = str(found.lastgroup), found.end()
        token, start = found[kind], found.start(kind)
        closes = wanted in ("comma", "value or end", "key or end") and bool(open_) and token == open_[-1][0]
        if closes:
            closing, node, begin = open_.pop()
            if closing == "}" and node.treat is not None:
                yield begin, position, node.treat
        elif wanted.startswith("value") and token in ("[", "{") and node is _NOTHING:
            position = _closed(document, position)
        elif wanted.startswith("value") and token in ("[", "{"):
            open_.append(("]" if token == "[" else "}", node, start))
            wanted = "value or end" if token == "[" else "key or end"
            continue
        elif wanted.startswith("value") and (kind == "string" or _LITERAL.fullmatch(token)):
            if node.treat is not None:
                yield start, position, node.treat
        elif wanted.startswith("key") and kind == "string":
            holder = open_[-1][1]
            name = token[1:-1] if "\\" not in token else json.loads(token)
            # an object that is treated is treated whole
            node = _NOTHING if holder.treat is not None else holder.below.get(name, _NOTHING)
            wanted = "colon"
            continue
        elif wanted == "colon" and token == ":":
            wanted = "value"
            continue
        elif wanted == "comma" and token == ",":
            wanted, node = ("key", node) if open_[-1][0] == "}" else ("value", open_[-1][1])
            continue
        else:
            raise NotADocument(_NO_JSON)
        wanted = "comma" if open_ else "nothing"
    if document[position:].strip(" \t\n\r"):
        raise NotADocument(_NO_JSON)
