"""Which columns of models hold the values of a raw column as they are, such as a key that a model hands on."""

from __future__ import annotations

import re
from collections.abc import Collection

from data_platform.column_lineage import ColumnOf
from data_platform.impact.graph import Graph, Relation

_NAMED = re.compile(r'[\w."`]+ AS [\w"`]+')
"""A column or a relation under a name: nothing is computed."""


def carried(graph: Graph, start: Collection[ColumnOf]) -> dict[ColumnOf, ColumnOf]:
    """By column of a model, snapshot or seed, the column of ``start`` whose values it holds."""
    found = {column: column for column in start}
    for relation in graph.relations.values():
        for name, behind in relation.values.items():
            if behind and len(behind) == 1 and behind[0] in found and _as_it_is(relation, name):
                found[ColumnOf(relation.schema, relation.name, name)] = found[behind[0]]
    return {column: origin for column, origin in found.items() if column not in start}


def _as_it_is(relation: Relation, column: str) -> bool:
    """Whether nothing is computed on the way, by the text of the definition: a type, then a line each."""
    text = relation.definitions.get(column, "").partition(" ")[2]
    return bool(text) and all(_NAMED.fullmatch(line.strip()) for line in text.splitlines())
