"""Follows a column to everything that depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from data_platform.column_lineage import ColumnOf
from data_platform.impact.graph import Dependent, Graph, Name


@dataclass(frozen=True, slots=True)
class Impact:
    """What depends on ``start``.

    ``values``: columns whose values do, each with the columns through which it comes. ``rows``: relations whose set of
    rows does, each with what chooses them there; all of their columns depend on it. ``unclear``: relations that read one
    of these, and whose SQL cannot be followed. ``dependents``: each with whether it depends on values, on rows, or
    perhaps.
    """

    start: tuple[ColumnOf, ...]
    values: Mapping[ColumnOf, tuple[ColumnOf, ...]] = field(default_factory=dict)
    rows: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)
    unclear: tuple[Name, ...] = ()
    dependents: tuple[tuple[Dependent, str], ...] = ()


def downstream(graph: Graph, start: Iterable[ColumnOf]) -> Impact:
    """Everything that depends on the values of the columns ``start``."""
    begun = tuple(start)
    values: dict[ColumnOf, tuple[ColumnOf, ...]] = dict.fromkeys(begun, ())
    rows: dict[Name, tuple[str, ...]] = {}
    unclear: dict[Name, None] = {}
    for relation in graph.relations.values():
        for column, behind in relation.values.items():
            through = tuple(one for one in behind or () if one in values)
            if through:
                values.setdefault(ColumnOf(relation.schema, relation.name, column), through)
        choosing = sorted({f"{one.schema}.{one.table}.{one.column}" for one in relation.rows or () if one in values})  # fmt: skip
        choosing += sorted(
            f"rows of {schema}.{name}" for schema, name in relation.reads if (schema, name) in rows
        )
        if choosing:
            rows[relation.key] = tuple(choosing)
        held = {(one.schema, one.table) for one in values}
        blind = relation.rows is None or None in relation.values.values() or not relation.values
        if relation.reads & unclear.keys() or (blind and relation.reads & (held | rows.keys())):
            unclear[relation.key] = None
    found = [
        (one, how) for one in graph.dependents if (how := _how(one, values, rows, unclear, begun)) is not None
    ]
    return Impact(
        begun,
        {column: through for column, through in values.items() if column not in begun},
        rows,
        tuple(unclear),
        tuple(found),
    )


def _how(
    dependent: Dependent,
    values: Mapping[ColumnOf, object],
    rows: Mapping[Name, object],
    unclear: Mapping[Name, object],
    start: tuple[ColumnOf, ...],
) -> str | None:
    held = {(one.schema, one.table) for one in values}
    named = {(one.schema, one.table) for one in dependent.on}
    if dependent.on & values.keys() or dependent.whole & held:
        return "values"
    if (dependent.whole | named) & rows.keys():
        return "rows"
    if (dependent.whole | named) & unclear.keys():
        return "perhaps"
    return None
