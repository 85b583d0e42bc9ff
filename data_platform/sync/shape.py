"""Compares a table's shape in the catalog and the source with the shape that landed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from data_platform.column_types import holds, same_text
from data_platform.errors import SchemaDrift
from data_platform.sources.reading import Drift, without_modifier
from data_platform.tables import RULE_PREFIX, Column, Shape, TableId

CHANGES_NAMED_MAX = 3
"""Of a drifted table; more would cut the message short where an alert tells it."""


def compare_shapes(
    table: TableId,
    before: Shape,
    now: Shape,
    drift: Drift,
    filled: Collection[str],
    type_base: Callable[[str], str] = without_modifier,
    *,
    from_rows: bool = False,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(notes, reasons for a refresh); SchemaDrift when the change does not flow by itself.

    A new column flows: rows landed earlier hold NULL in it, as at the source. ``drift`` is what the source says.
    ``type_base`` is the source's (``Described``). ``filled`` are the new columns in which rows landed earlier hold something: with
    such a column the table is read anew, as it is when a column got a wider type or its
    values another meaning, or when the catalog's key, partition, treatments or rules changed.
    Of columns that come ``from_rows`` (``Described.from_rows``) a wider type is told and no more: the load widens what
    landed, unless it is a key's and would be another text.
    """

    def base(column: Column) -> str:
        return type_base(column.source_type.partition(" [")[0])

    new = {c.name: c for c in now.columns}
    old = {c.name: c for c in before.columns}
    refresh = [
        f"the catalog's {what} changed; everything was reread"
        for what in ("key", "partition", "timezone")
        if getattr(before, what) != getattr(now, what)
    ]
    problems, notes = [], []
    for name, column in old.items():
        if name.startswith(RULE_PREFIX):
            if name in new and new[name].source_type != column.source_type:
                refresh.append(
                    f"a rule on a treated column changed ({new[name].source_type}); everything was reread"
                )
            continue
        if name not in new and (from_rows or name in drift.same):
            refresh.append(f"the catalog now omits the column {name}; everything was reread")
        elif problem := drift.columns.get(name) or (None if name in new else f"the column {name} is gone"):
            problems.append(problem)
        elif treatment(new[name]) != treatment(column):
            refresh.append(f"the treatment of {name} changed; everything was reread")
        elif not holds(new[name].type, column.type):
            problems.append(
                f"the column {name} was {column.type} ({column.source_type}) and is {new[name].type}"
                f" ({new[name].source_type})"
            )
        elif from_rows and new[name].type == column.type:
            continue
        elif from_rows and (name not in now.key or same_text(column.type, new[name].type)):
            notes.append(f"the column {name} was {column.type} and is {new[name].type}: it is widened")
        elif new[name].type != column.type or base(column) != base(new[name]):
            refresh.append(
                f"the column {name} was {column.source_type} and is {new[name].source_type};"
                " everything was reread"
            )
        elif new[name].source_type != column.source_type:
            notes.append(f"the column {name} was {column.source_type} and is {new[name].source_type}")
    for name in new:
        if name in old:
            continue
        if name.startswith(RULE_PREFIX) or name in filled:
            refresh.append(f"the column {name.removeprefix(RULE_PREFIX)} is new; everything was reread")
        else:
            notes.append(f"new column {name}: rows read earlier hold NULL in it until they change")
    if problems:
        more = len(problems) - CHANGES_NAMED_MAX
        told = "; ".join(problems[:CHANGES_NAMED_MAX]) + (f"; and {more} more change(s)" if more > 0 else "")
        raise SchemaDrift(
            f"{table} changed at the source and needs your confirmation: `data-platform sync --refresh {table}` accepts the"
            f" change and rereads the table. What changed: {told}. Until then, the table is not read,"
            " and the landed data stays unchanged."
        )
    refresh += [why for name, why in drift.reinterpreted.items() if not name or name in old]
    return tuple(notes), tuple(refresh)


def treated(source_type: str, treatment: str) -> str:
    """A treated column's source type carries its treatment, so that a changed one is seen."""
    return f"{source_type} [{treatment}]"


def source_type_of(column: Column) -> str:
    """What the source calls the type, without the treatment."""
    return column.source_type.partition(" [")[0] if treatment(column) else column.source_type


def treatment(column: Column) -> str:
    return column.source_type.partition(" [")[2].rstrip("]") if column.source_type.endswith("]") else ""
