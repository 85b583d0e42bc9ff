"""Which models hand on the key of a person, and which say something of a person and hand on none."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from data_platform.column_lineage import ColumnOf
from data_platform.impact.carried import carried
from data_platform.impact.graph import Graph, Name
from data_platform.impact.made_of import made_of
from data_platform.privacy.subjects.place import Place
from data_platform.sync.erasing.steps import Derived


def derived_from(graph: Graph, places: Iterable[Place], personal: Collection[Name]) -> list[Derived]:
    """The columns of models that hold the values of ``places``, the keys of raw tables, as they are; then the models with rows of their own
    that are made of these tables, hold something of a person (``personal``) and have no such column."""
    keys = {
        ColumnOf(place.table.raw_schema, place.table.table, place.column.lower()): place for place in places
    }
    found = carried(graph, keys)
    carrying = {(one.schema, one.table) for one in found}
    return [
        *(Derived(keys[origin], one.schema, one.table, one.column) for one, origin in found.items()),
        *(
            Derived(place, made.schema, made.name, None, made.lasting)
            for column, place in keys.items()
            for made in made_of(graph, (column.schema, column.table))
            if made.stored and made.key in personal and made.key not in carrying
        ),
    ]
