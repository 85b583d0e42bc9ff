"""Which models of dbt hold somebody's key, and which say something of people without one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_platform.catalog import Catalog
    from data_platform.impact.graph import Name
    from data_platform.sync import Platform
    from data_platform.sync.erasing.derived import Derived
    from data_platform.tables import TableId


def derived_models(platform: Platform) -> list[Derived]:
    """The columns of models that hold keys of people, and the models that say something of people and hold none. Commands import this
    module and seldom call it: what takes a second to import is imported then."""
    from data_platform.defs.dbt_compiled import compiled_models
    from data_platform.impact.build import build
    from data_platform.impact.people import derived_from, totals_from
    from data_platform.privacy.erasure.frozen import holders
    from data_platform.sync.erasing.freeze import keys_of

    if not (platform.catalog.root / "dbt" / "dbt_project.yml").is_file():
        return []
    held = [
        pair
        for subject in platform.catalog.subjects.values()
        for pair in holders(subject, keys_of(platform, subject))
    ]
    compiled = compiled_models(platform.catalog.root)
    graph = build(platform.catalog, platform.environment.name, compiled.manifest, compiled.sql)
    found = derived_from(graph, held, _personal(platform.catalog, {column.table for column, _ in held}))
    return [*found, *totals_from(graph, held, found)]


def _personal(catalog: Catalog, tables: Collection[TableId]) -> Mapping[Name, Collection[Name]]:
    """By model, the raw ones of ``tables`` of whose people it holds something: all of them where its SQL cannot be followed."""
    from data_platform.defs.classes import classes_of
    from data_platform.privacy.classes import NONE

    labels = {table.raw_name: (table.raw_schema, table.table) for table in tables}
    found: dict[Name, set[Name]] = {}
    for one in classes_of(catalog).columns:
        if one.class_ != NONE:
            sources = {name for name in map(_table_of, one.sources) if name in labels}
            names = sources if one.sources else labels
            found.setdefault((one.schema, one.table), set()).update(labels[name] for name in names)
    return found


def _table_of(column: str) -> str:
    return ".".join(column.split(".")[:2])
