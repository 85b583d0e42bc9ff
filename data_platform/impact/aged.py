"""Which models hand on the column by which rows of a raw table grow old, and which do not and keep their rows all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from data_platform.column_lineage import ColumnOf
from data_platform.impact.carried import carried
from data_platform.impact.graph import Graph, Name, Relation
from data_platform.privacy.retention.rule import AgedModel
from data_platform.tables import TableId

LASTING = ("incremental", "snapshot")
"""How dbt builds models whose rows stay from build to build."""


def aged(graph: Graph, rules: Mapping[TableId, tuple[str, Sequence[str]]]) -> list[AgedModel]:
    """The models that hand on the column ``by`` of a table as it is. ``rules`` are, by table, that column and others that matter; of a
    model the latter are known where they are handed on too. Then those that hand on none and last."""
    names = {
        ColumnOf(table.raw_schema, table.table, column.lower()): (table, column)
        for table, (by, columns) in rules.items()
        for column in (by, *columns)
    }
    found: dict[tuple[str, str, TableId], dict[str, str]] = {}
    for mine, origin in carried(graph, names).items():
        table, theirs = names[origin]
        found.setdefault((mine.schema, mine.table, table), {})[theirs] = mine.column
    models = [
        AgedModel(table, schema, name, columns[by], {one: its for one, its in columns.items() if one != by})
        for (schema, name, table), columns in found.items()
        if (by := rules[table][0]) in columns
    ]
    known = {(one.schema, one.name, one.table) for one in models}
    return models + [
        AgedModel(table, *relation.key, None, {})
        for table in rules
        for relation in _lasting(graph, (table.raw_schema, table.table))
        if (*relation.key, table) not in known
    ]


def _lasting(graph: Graph, start: Name) -> Iterator[Relation]:
    """What is made of ``start``, at whatever distance, and keeps its rows from build to build."""
    reached = {start}
    for relation in graph.relations.values():  # after those that it reads
        if relation.reads & reached:
            reached.add(relation.key)
            if relation.definitions.get("", "").partition(" ")[0] in LASTING:
                yield relation
