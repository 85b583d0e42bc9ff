"""Which columns of models hold the values of raw columns, such as a key that a model hands on."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from data_platform.column_lineage import ColumnOf
from data_platform.impact.graph import Graph, Relation

_NAMED = re.compile(r'[\w."`]+ AS [\w"`]+')
"""A column or a relation under a name: nothing is computed."""


class Origin(NamedTuple):
    """A raw column, or the value under ``keys`` of its JSON document."""

    column: ColumnOf
    keys: tuple[str, ...] = ()


class Read(NamedTuple):
    """A column reads as all of ``origins`` do: each of its values is that of one of them. ``canonical``: by a cast to whole
    numbers or UUIDs, which have one way to be written."""

    origins: frozenset[Origin]
    canonical: bool = False


def read_as(graph: Graph, start: Collection[Origin]) -> dict[ColumnOf, Read]:
    """By column of a model, snapshot or seed, those of ``start`` that it reads as: renamed, cast to text, whole numbers or UUIDs, the first that is
    not NULL, taken out of a document as text, put under one another."""
    found = {origin: Read(frozenset({origin})) for origin in start}
    for relation in graph.relations.values():
        for name, taken in (relation.taken or {}).items():
            of_others = [one for one in taken if (one.column.schema, one.column.table) != relation.key]
            read = [
                found[origin]._replace(canonical=found[origin].canonical or one.form == "canonical")
                for one in of_others
                if one.form != "other" and (origin := Origin(one.column, one.keys)) in found
            ]
            if read and len(read) == len(of_others):
                origins = frozenset().union(*(one.origins for one in read))
                canonical = any(one.canonical for one in read)
                found[Origin(ColumnOf(relation.schema, relation.name, name))] = Read(origins, canonical)
    return {origin.column: read for origin, read in found.items() if origin not in start}


def carried(graph: Graph, start: Collection[ColumnOf]) -> dict[ColumnOf, ColumnOf]:
    """By column of a model, snapshot or seed, the column of ``start`` whose values it holds as they are."""
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
