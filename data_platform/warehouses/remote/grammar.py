"""What an engine spells in its own way beyond a ``Dialect``: tables, days, checksums. Pure text; nothing is run.

What is usual SQL is written here once, and an engine overrides what it says differently. Everything that is abstract
differs. Statements quote every name with ``quote``, so an engine that folds names does it there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from data_platform.errors import UnsupportedExpression, UnsupportedType
from data_platform.sql import literal, quoted
from data_platform.tables import Column, Slice, TableId, is_day
from data_platform.warehouses.dialect import Plain
from data_platform.warehouses.remote.kept import Kept


@dataclass(frozen=True, slots=True)
class Loadable:
    """How a landed column gets into a table of the engine.

    ``staged`` is the engine's type of the column in the stage. ``rewritten`` is a DuckDB expression that makes the
    staged value of ``{}``, the landed column; None where the engine takes the column as DuckDB wrote it to Parquet. One column
    with an expression is enough for the parts to be written anew and sent from here instead of being read from the bucket,
    so give one only where the engine cannot read the column, or reads it wrongly. ``value`` makes the table's value of
    the staged one, where ``{}`` is the staged column.

    ``refused`` are (DuckDB condition on ``{}``, the landed column in its type, words) of values that the engine cannot hold: rows that meet one
    are counted before anything is sent, and the batch is refused by column: "12 rows of its column <name> <words>"."""

    staged: str
    rewritten: str | None = None
    value: str = "{}"
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """How a table lies in the engine: by days of the column ``partition`` in ``timezone``, ordered by ``cluster``."""

    partition: str | None = None
    timezone: str = "UTC"
    cluster: tuple[str, ...] = ()


class Grammar(ABC):
    """A ``warehouses.dialect.Dialect`` and what loading and comparing need besides. ``held`` is a type as
    ``Session.columns`` tells it or as ``type`` makes it, ``landed`` one of ``column_types``. ``UnsupportedType`` for what cannot be said exactly."""

    name: ClassVar[str]
    transactional_ddl: ClassVar[bool]
    """Whether DDL is part of a transaction, which it neither begins nor ends."""

    # -- Dialect: what is the same in most engines

    def quote(self, name: str) -> str:
        return quoted(name)

    def schema(self, name: str) -> str:
        return self.quote(name)

    def literal(self, text: str) -> str:
        return literal(text)

    def number(self, text: str) -> str:
        return f"CAST({text} AS DOUBLE PRECISION)"

    def date(self, iso: str) -> str:
        return f"DATE {self.literal(iso)}"

    def today(self) -> str:
        return "CURRENT_DATE"

    def now(self) -> str:
        return "CURRENT_TIMESTAMP"

    def count_where(self, condition: str) -> str:
        return f"count(CASE WHEN {condition} THEN 1 END)"

    @abstractmethod
    def try_cast(self, sql: str, to: Plain) -> str: ...
    @abstractmethod
    def contains(self, sql: str, text: str) -> str: ...
    @abstractmethod
    def matches(self, sql: str, pattern: str) -> str: ...
    @abstractmethod
    def json_text(self, sql: str, path: Sequence[str]) -> str: ...
    @abstractmethod
    def micros(self, sql: str) -> str: ...
    @abstractmethod
    def shown(self, sql: str, type_: str) -> str: ...
    @abstractmethod
    def type(self, landed: str) -> str: ...
    @abstractmethod
    def same_type(self, held: str, landed: str) -> bool: ...
    @abstractmethod
    def widens(self, held: str, landed: str) -> bool: ...

    def hashed(self, sql: str) -> str:
        return f"md5({sql})"

    # -- values

    @abstractmethod
    def loadable(self, column: Column) -> Loadable:
        """``UnsupportedType`` for a type that the engine cannot hold, with what to do about it."""

    @abstractmethod
    def check(self, table: TableId, columns: Sequence[Column], placement: Placement) -> None:
        """``LoadRefused`` for a raw table of these columns (the platform's own included) that the engine cannot make: too
        many columns, a name it does not take, two names that it does not tell apart, a column it cannot be clustered by."""

    @abstractmethod
    def instant(self, iso: str) -> str:
        """A TIMESTAMPTZ as a value, of an ISO text with its offset."""

    def cast(self, sql: str, landed: str) -> str:
        """A value as ``type(landed)``; ``sql`` may be NULL, or a value of a narrower type."""
        return f"CAST({sql} AS {self.type(landed)})"

    def keyed(self, sql: str, held: str) -> str:
        """A value of a key, so that two are equal in SQL only if they are the same: for an engine that ignores case,
        or spaces at the end of a text."""
        return sql

    @abstractmethod
    def day(self, sql: str, held: str, timezone: str) -> str:
        """The DATE of a value of type ``held`` in ``timezone``: an instant is taken there, a date or a time without a zone
        is there already. NULL stays NULL. ``UnsupportedType`` for a type that holds no day."""

    def slice_of(self, day: str) -> str:
        """The ISO text of a DATE, as ``tables.Slice`` has it; NULL stays NULL."""
        return self.cast(day, "VARCHAR")

    def day_of(self, slice_: Slice) -> str | None:
        """The DATE that a slice is; None where no row of the engine can be in it, since its load was refused: infinity, and
        years that the engine does not have."""
        return self.date(slice_) if is_day(slice_) else None

    @abstractmethod
    def key_text(self, sql: str, held: str) -> str:
        """The text form of a key as ``duckdb_sql.duckdb_text`` defines it. ``UnsupportedType`` where it has none."""

    @abstractmethod
    def whole_text(self, sql: str, held: str) -> str:
        """A text that differs where two values of one column differ; NULL stays NULL."""

    @abstractmethod
    def token(self, pieces: Sequence[str]) -> str:
        """``tables.Fingerprint``'s share of a row: the texts ``pieces``, NULL being the empty one, joined by U+001F; of their
        md5 the first 15 hex digits as an integer of 64 bits."""

    def total(self, sql: str) -> str:
        """The exact sum of integers of 60 bits in any number of rows; NULL of none."""
        return f"sum({sql})"

    def greater(self, one: str, other: str) -> str:
        return f"CASE WHEN {one} > {other} THEN {one} ELSE {other} END"

    # -- backups

    def kept(self, held: str) -> Kept:
        """How a backup keeps a column of the engine's type ``held``, in the words of ``Session.describe``. ``UnsupportedType`` for one
        that Parquet does not keep exactly, and for a text that is no type."""
        raise UnsupportedType(f"A backup does not keep columns of the type {held}.")

    def at(self, relation: str, instant: str) -> str:
        """``relation`` as it was at an instant (ISO), as a FROM item. ``UnsupportedExpression`` of an engine that keeps
        no past."""
        raise UnsupportedExpression(f"{relation} as of {instant}: this engine keeps no past")

    def restored(self, sql: str, held: str) -> str:
        """A value of a backup as one of the engine's type ``held``."""
        return f"CAST({sql} AS {held})"

    # -- tables

    def relation(self, schema: str, name: str) -> str:
        return f"{self.schema(schema)}.{self.quote(name)}"

    def create_schema(self, name: str) -> str:
        return f"CREATE SCHEMA IF NOT EXISTS {self.schema(name)}"

    def definition(self, column: Column) -> str:
        """A column as CREATE TABLE and ADD COLUMN have it."""
        return self.defined(column.name, self.type(column.type))

    def defined(self, name: str, held: str) -> str:
        """As ``definition``, of a column of the engine's type ``held``."""
        return f"{self.quote(name)} {held}"

    def create_table(self, schema: str, name: str, columns: Sequence[Column], placement: Placement) -> str:
        """An empty table, unless it is there."""
        defined = ", ".join(map(self.definition, columns))
        return f"CREATE TABLE IF NOT EXISTS {self.relation(schema, name)} ({defined}){self.placed(columns, placement)}"

    def placed(self, columns: Sequence[Column], placement: Placement) -> str:
        """What follows the columns of CREATE TABLE: partition and cluster. Empty, or begins with a space."""
        return ""

    def create_view(self, schema: str, name: str, query: str) -> str:
        return f"CREATE OR REPLACE VIEW {self.relation(schema, name)} AS {query}"

    def folded(self, name: str) -> str:
        """A column's name as ``Session.columns`` tells it, where the engine does not keep the spelling that landed."""
        return name

    def beside(self, table: TableId) -> tuple[str, ...]:
        """DDL of what ``lock`` needs of a raw table, run before its first load."""
        return ()

    def add_column(self, schema: str, name: str, column: Column) -> str:
        return f"ALTER TABLE {self.relation(schema, name)} ADD COLUMN {self.definition(column)}"

    @abstractmethod
    def widen(
        self, schema: str, name: str, columns: Sequence[tuple[Column, str]], attempt: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Statements that make columns, each of the type beside it, ones of their own types, which ``widens``: those before the load's
        transaction, which may be done again and keep every value for readers, and those at its beginning. Without
        ``transactional_ddl`` the first ones are given to ``Session.replace``."""

    @abstractmethod
    def replacing(
        self, table: TableId, columns: Sequence[Column], placement: Placement, query: str, attempt: str
    ) -> tuple[str, ...]:
        """Statements that put a table of exactly these columns, with the rows of ``query`` (a SELECT of them in their order
        and types), in the place of the raw table. Readers see the one or the other. With ``transactional_ddl`` they are
        part of the load's transaction; else the last one makes the exchange, see ``Session.replace``."""

    def unbuild(self, attempt: str) -> tuple[str, ...]:
        """Statements after which the table is gone that ``replacing`` or ``widen`` made for the attempt of that name, if it did:
        its exchange can then not be made any more. None with ``transactional_ddl``."""
        return ()

    # -- rows

    @abstractmethod
    def lock(self, table: TableId) -> tuple[str, ...]:
        """Statements at the beginning of a transaction, after which no other transaction that begins with them has been
        committed, or will be, before this one ends: it waits, or one of both fails with ``Transient``. Also where both only
        insert. They must not stand in the way of loads of other tables."""

    def empty(self, table: TableId) -> str:
        """All rows of the raw table go, within the transaction."""
        return f"DELETE FROM {self.relation(table.raw_schema, table.table)} WHERE true"

    def deleted_row(self, table: TableId) -> str:
        """What the raw table is called in the condition of ``delete``: an alias, or its name."""
        return "t"

    def delete(self, table: TableId, condition: str) -> str:
        """The rows of the raw table go for which ``condition`` is true. It is made of days of ``deleted_row`` and of
        ``EXISTS (SELECT 1 FROM (...) s WHERE s.k0 = <deleted_row>.<key> AND ...)``."""
        return f"DELETE FROM {self.relation(table.raw_schema, table.table)} AS t WHERE {condition}"

    def all_rows(self, row: str, partition: str | None) -> str:
        """A condition on ``row``, an alias of a raw table, that is true of every row: for an engine that reads a partitioned table only
        with a condition on its partition."""
        return "true"
