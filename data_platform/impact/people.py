"""Which models hand on the key of a person, and which say something of a person and hand on none."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from data_platform.column_lineage import ColumnOf
from data_platform.impact.carried import carried
from data_platform.impact.graph import Graph, Name
from data_platform.impact.made_of import made_of
from data_platform.privacy.subjects.place import Place
from data_platform.sync.erasing.steps import Derived


def totals_from(
    graph: Graph, holders: Iterable[tuple[Place, Place]], known: Iterable[Derived]
) -> list[Derived]:
    """The models whose rows last from build to build, that are made of tables with keys of people (``holders``: a column of such a table, and
    the key), and that are none of ``known``: they hand on no key and say nothing of anybody, as sums do."""
    others = {(one.schema, one.name) for one in known}
    made = [
        Derived(key, one.schema, one.name, None, lasting=True, sums=True)
        for column, key in holders
        for one in made_of(graph, (column.table.raw_schema, column.table.table))
        if one.stored and one.lasting and one.key not in others
    ]
    return list(dict.fromkeys(made))


def derived_from(
    graph: Graph, holders: Iterable[tuple[Place, Place]], personal: Collection[Name]
) -> list[Derived]:
    """The columns of models that hold keys of people as they are, by ``holders``, which columns of raw tables hold the values of which key; then
    the models with rows of their own that are made of these tables, hold something of a person (``personal``) and have no such column."""
    keys: dict[ColumnOf, list[Place]] = {}
    tables: dict[Name, list[Place]] = {}
    for column, key in holders:
        where = column.table.raw_schema, column.table.table
        tables.setdefault(where, []).append(key)
        if not column.path:
            keys.setdefault(ColumnOf(*where, column.column.lower()), []).append(key)
    found = carried(graph, keys)
    carrying = {(one.schema, one.table) for one in found}
    made = [
        Derived(key, one.schema, one.table, one.column)
        for one, origin in found.items()
        for key in keys[origin]
    ]
    made += [
        Derived(key, one.schema, one.name, None, one.lasting)
        for where, some in tables.items()
        for one in made_of(graph, where)
        if one.stored and one.key in personal and one.key not in carrying
        for key in some
    ]
    return list(dict.fromkeys(made))
