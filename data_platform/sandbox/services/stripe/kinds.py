"""The kinds of object that the stand-in for Stripe serves: where their names and times come from, and how ids are spelled.

A list is read in two steps. ``sources`` give the keys of a page, newest first, along an index; ``detail`` gives the rows of
those keys as of a moment, of which ``render`` makes the objects. So a page costs the same on every page
of a list, however long the list is, and an event can show its object as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """A parameter of a list as a condition of SQL, ``{}`` for its value; a column alone must equal it.

    ``prefix`` is that of the ids it takes."""

    condition: str
    prefix: str = ""
    type_: str = "text"


@dataclass(frozen=True, slots=True)
class Source:
    """``relation`` has the columns ``created_at`` and ``key`` (of ``key_type``), and those its filters name.

    Of kinds with several sources, ``letter`` begins what follows an id's prefix; what was made at the same instant is
    ordered by it first.
    """

    relation: str
    key_type: str
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """``permission`` is the one a restricted key needs. ``detail`` is SQL over ``wanted(n, letter, key, as_of)``,
    whose ``key`` is text; its rows carry ``n``."""

    name: str
    path: str
    prefix: str
    permission: str
    sources: tuple[Source, ...]
    detail: str
    render: Callable[[Row], Object]
    filters: Mapping[str, Filter] = field(default_factory=dict)
    shown: str = ""
    """A condition on what a list shows ..."""
    unless: str = ""
    """... unless this parameter is given; its value ``all`` asks for everything."""

    def id_of(self, text: str) -> str:
        """The id of a key that was kept as text; of kinds with one source."""
        return self.prefix + spell(int(text) if self.sources[0].key_type == "bigint" else text)

    def key(self, id_: str) -> tuple[Source, str] | None:
        """The source and the key (as text for SQL) that an id names; None when it cannot be one of this kind."""
        if not id_.startswith(self.prefix):
            return None
        rest = id_.removeprefix(self.prefix)
        for source in self.sources:
            if rest.startswith(source.letter):
                text = read(rest.removeprefix(source.letter), source.key_type)
                if text is not None:
                    return source, text
        return None


def spell(key: Any) -> str:
    """A key as the end of an id: a UUID as 32 digits, a number as 14, a day as 8."""
    if isinstance(key, int):
        return f"{key:014d}"
    return str(key).replace("-", "")


def read(text: str, type_: str) -> str | None:
    """The other way round; None when it is no such key."""
    if type_ == "uuid":
        return text if len(text) == 32 and not set(text) - set("0123456789abcdef") else None
    if not text.isascii() or not text.isdigit():
        return None
    if type_ == "date":
        return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text[4:] >= "0101" else None
    return str(int(text)) if len(text) == 14 else None


def seconds(at: Any) -> int | None:
    """Whole seconds since 1970, as Stripe gives times; None stays."""
    return None if at is None else int(at.timestamp())
