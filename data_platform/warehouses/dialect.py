"""What a warehouse says of its own types, beside the expressions that rules need; and counts of many relations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from data_platform.expressions import Expressions, Plain, relation

__all__ = ("Dialect", "Plain", "blanks", "counts", "deletes", "relation")


class Dialect(Expressions, Protocol):
    """The dialect of a warehouse, which also makes and widens tables."""

    def json_text(self, sql: str, path: Sequence[str]) -> str:
        """The text of the text or number that the keys of ``path`` lead to in a column of JSON; NULL where there is none."""

    def same_type(self, held: str, landed: str) -> bool:
        """Whether a column that the engine describes as ``held`` is what ``type(landed)`` makes."""

    def hashed(self, sql: str) -> str:
        """A text that says nothing of the text ``sql``, and is the same for the same one: for an order by chance."""

    def widens(self, held: str, landed: str) -> bool:
        """Whether a column that the engine describes as ``held`` can be made what ``type(landed)`` makes, which is
        another type and holds every value of it exactly (``column_types.holds``)."""


def counts(dialect: Dialect, relations: Sequence[tuple[str, str]]) -> str:
    """The rows of each (schema, name), many in one statement: rows of (position, count)."""
    return " UNION ALL ".join(
        f"SELECT {position}, count(*) FROM {relation(dialect, schema, name)}"
        for position, (schema, name) in enumerate(relations)
    )


def deletes(dialect: Expressions, schema: str, name: str, conditions: Sequence[str]) -> list[str]:
    """A statement for each of ``conditions`` that deletes the rows for which it is true."""
    return [f"DELETE FROM {relation(dialect, schema, name)} WHERE {condition}" for condition in conditions]


def blanks(
    dialect: Expressions, schema: str, name: str, columns: Sequence[str], conditions: Sequence[str]
) -> list[str]:
    """A statement for each of ``conditions`` that makes ``columns`` NULL in the rows for which it is true."""
    empty = ", ".join(f"{dialect.quote(column)} = NULL" for column in columns)
    target = relation(dialect, schema, name)
    return [f"UPDATE {target} SET {empty} WHERE {condition}" for condition in conditions]
