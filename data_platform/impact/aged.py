"""Which models hand on the column by which rows of a raw table grow old, and which do not and keep their rows all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_platform.column_lineage import ColumnOf
from data_platform.impact.carried import carried
from data_platform.impact.graph import Graph
from data_platform.impact.made_of import made_of
from data_platform.privacy.retention.rule import AgedModel
from data_platform.tables import TableId


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
        for relation in made_of(graph, (table.raw_schema, table.table))
        if relation.lasting and (*relation.key, table) not in known
    ]
