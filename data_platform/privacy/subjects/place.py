"""A column of a raw table, or a value within a JSON column: ``shop/users.email``, ``stripe/customers.metadata.user_id``."""

from __future__ import annotations

from dataclasses import dataclass

from data_platform.privacy.documents import parse_path
from data_platform.sql import json_path
from data_platform.tables import TableId

FORM = "source/table.column, such as shop/users.user_id"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """``path`` leads to the value within the column's JSON; it is empty for the column itself."""

    table: TableId
    column: str
    path: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Place:
        """ValueError for what is no place."""
        source, slash, rest = text.partition("/")
        table, dot, column = rest.partition(".")
        if not (source and slash and table and dot and column):
            raise ValueError(f"must be of the form {FORM}")
        try:
            first, *path = parse_path(column)
            _ = json_path(path)  # what no engine can name
            return cls(TableId.parse(f"{source}/{table}"), first, tuple(path))
        except ValueError:
            raise ValueError(f"must be of the form {FORM}") from None

    @property
    def name(self) -> str:
        """The name of the value itself."""
        return self.path[-1] if self.path else self.column

    @property
    def dotted(self) -> str:
        """The column and the path from it."""
        return ".".join((self.column, *self.path))

    def __str__(self) -> str:
        return f"{self.table}.{self.dotted}"
