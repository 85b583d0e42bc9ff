"""The few expressions that differ between engines: text in, text out; nothing is run.

Rules, ages, counts and previews put plain SQL around them. They are written by hand for each engine, because a
transpiler silently changes the meaning of some. A test parses the output of each dialect with the grammar of its
engine.
"""

from __future__ import annotations

from typing import Literal, Protocol

Plain = Literal["number", "date", "instant", "boolean", "text"]
"""The types for comparisons: a double, a day, an instant, true or false, a text."""


class Expressions(Protocol):
    """``UnsupportedExpression`` for what the engine cannot say exactly. Conditions may be NULL."""

    @property
    def name(self) -> str:
        """The engine's name in ``sqlglot``, which parses its statements in the tests."""

    def quote(self, name: str) -> str: ...

    def schema(self, name: str) -> str:
        """How a statement there names the schema: quoted, and where it is, if the engine needs to be told."""

    def literal(self, text: str) -> str: ...

    def number(self, text: str) -> str:
        """The double that ``text`` says."""

    def date(self, iso: str) -> str: ...

    def instant(self, iso: str) -> str:
        """The instant of an ISO text with its offset."""

    def today(self) -> str:
        """The day it is in UTC."""

    def now(self) -> str: ...

    def try_cast(self, sql: str, to: Plain) -> str:
        """The value as ``to``; NULL where it cannot be that."""

    def contains(self, sql: str, text: str) -> str:
        """Whether a value's text holds ``text``, letter by letter."""

    def matches(self, sql: str, pattern: str) -> str:
        """Whether the regular expression (RE2) is found anywhere in a value's text."""

    def count_where(self, condition: str) -> str:
        """How many rows make ``condition`` true."""

    def micros(self, sql: str) -> str:
        """An instant, or a day's first, as whole microseconds since 1970 in UTC; NULL where it is not finite."""

    def day(self, sql: str, held: str, timezone: str) -> str:
        """The day of a value in ``timezone``, where ``held`` is the engine's type of its column. ``UnsupportedType`` for a type
        that holds no day."""

    def keyed(self, sql: str, held: str) -> str:
        """A value of a column of the type ``held``, so that two are equal only if they are the same."""

    def shown(self, sql: str, type_: str) -> str:
        """A value of the engine's ``type_`` for people: as text where Python's own values could not hold it."""

    def type(self, landed: str) -> str:
        """The engine's type for a landed one. ``UnsupportedType`` where it has none that keeps every value."""


def relation(dialect: Expressions, schema: str, name: str) -> str:
    return f"{dialect.schema(schema)}.{dialect.quote(name)}"
