"""The SQL that selects a person's rows: one statement over all tables, in any engine. Values are bound, never written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_platform.privacy.names import is_email
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.tables import TableId
from data_platform.warehouses.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Seed:
    """A row is the person's whose ``place`` holds ``value``, which is treated as the column is."""

    place: Place
    value: str


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one table: those of ``relation`` that meet ``condition``, which has a ``?`` for each of ``bound``. ``keys`` is what
    links from other tables need of them."""

    table: TableId
    name: str
    relation: str
    condition: str
    keys: tuple[str, ...]
    bound: tuple[str, ...]

    @property
    def cte(self) -> str:
        columns = ", ".join(self.keys) or "1 AS held"
        return f"{self.name} AS (SELECT {columns} FROM {self.relation} WHERE {self.condition})"


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    bound: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """A person's rows, table by table; one whose rows follow from another's comes after it."""

    parts: tuple[Part, ...]

    def counting(self) -> Statement:
        """For rows of (position in ``parts``, how many rows of its table are the person's)."""
        counts = (f"SELECT {n} AS n, count(*) AS held FROM {part.name}" for n, part in enumerate(self.parts))
        return Statement(f"{_with(self.parts)}{' UNION ALL '.join(counts)}", _bound(self.parts))

    def reading(self, position: int, columns: str = "*") -> Statement:
        """For the rows of one of ``parts``, with ``columns`` of it."""
        before, part = self.parts[:position], self.parts[position]
        rows = f"SELECT {columns} FROM {part.relation} WHERE {part.condition}"
        return Statement(f"{_with(before)}{rows}", _bound((*before, part)))


def select(
    subject: Subject,
    seeds: Sequence[Seed],
    dialect: Dialect,
    relation: Callable[[TableId], str],
    clear: Callable[[Place], bool],
) -> Selection:
    """The rows of the tables of ``subject`` that belong to whom ``seeds`` name. ``relation`` gives a table's SQL, ``clear`` says whether a
    column landed as it is."""
    parents = sorted({link.parent for link in subject.links})
    key = {place: dialect.quote(f"_link_{n}") for n, place in enumerate(parents)}

    def text(place: Place) -> str:
        column = dialect.quote(place.column)
        value = dialect.json_text(column, place.path) if place.path else dialect.try_cast(column, "text")
        return folded(value, place)

    def folded(value: str, place: Place) -> str:
        """An address that landed as it is may be written in any case; one that is hashed was folded before."""
        return f"lower(trim({value}))" if is_email(place.name) and clear(place) else value

    parts: dict[TableId, Part] = {}
    for table in subject.tables:
        own = [seed for seed in seeds if seed.place.table == table]
        conditions = [f"{text(seed.place)} = {folded('?', seed.place)}" for seed in own]
        for link in subject.links_of(table):
            if (parent := parts.get(link.parent.table)) is not None:
                column = key[link.parent]
                conditions.append(
                    f"{text(link.child)} IN (SELECT {column} FROM {parent.name} WHERE {column} IS NOT NULL)"
                )
        if conditions:
            parts[table] = Part(
                table,
                f"rows_{len(parts)}",
                relation(table),
                " OR ".join(conditions),
                tuple(f"{text(place)} AS {key[place]}" for place in parents if place.table == table),
                tuple(seed.value for seed in own),
            )
    return Selection(tuple(parts.values()))


def _with(parts: Sequence[Part]) -> str:
    return f"WITH {', '.join(part.cte for part in parts)} " if parts else ""


def _bound(parts: Sequence[Part]) -> tuple[str, ...]:
    return tuple(value for part in parts for value in part.bound)
