"""Which models hand on the key of a person, and which say something of a person and hand on none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from data_platform.column_lineage import ColumnOf
from data_platform.impact.carried import Origin, read_as
from data_platform.impact.graph import Graph, Name
from data_platform.impact.made_of import made_of
from data_platform.privacy.subjects.place import Place
from data_platform.sync.erasing.derived import Derived


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
    graph: Graph, holders: Iterable[tuple[Place, Place]], personal: Mapping[Name, Collection[Name]]
) -> list[Derived]:
    """The columns of models that read as keys of people, by ``holders``, which columns of raw tables hold the values of which key; then
    the models with rows of their own that hold something of the people of one of these tables (``personal``: by model, the raw tables) and
    no key by which that table's people are found.

    Where the keys of two kinds are in one column, the same text may be two people: it is none of these columns."""
    keys: dict[Origin, set[Place]] = {}
    tables: dict[Name, list[Place]] = {}
    for column, key in holders:
        where = column.table.raw_schema, column.table.table
        tables.setdefault(where, []).append(key)
        keys.setdefault(Origin(ColumnOf(*where, column.column.lower()), column.path), set()).add(key)
    made: list[Derived] = []
    carried: dict[Name, set[Place]] = {}
    for one, read in read_as(graph, keys).items():
        both = set.intersection(*(keys[origin] for origin in read.origins))
        made += [Derived(key, *one, canonical=read.canonical) for key in sorted(both)]
        carried.setdefault((one.schema, one.table), set()).update(both)
    made += [
        Derived(key, one.schema, one.name, None, one.lasting)
        for where, some in tables.items()
        for one in made_of(graph, where)
        if one.stored and where in personal.get(one.key, ()) and carried.get(one.key, set()).isdisjoint(some)
        for key in some
    ]
    return list(dict.fromkeys(made))
