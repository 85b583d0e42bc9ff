"""Which models of dbt hold somebody's key, and which say something of people without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_platform.sync import Platform
    from data_platform.sync.erasing.steps import Derived


def derived_models(platform: Platform) -> list[Derived]:
    """The columns of models that hold keys of people, and the models that say something of people and hold none. Commands import this
    module and seldom call it: what takes a second to import is imported then."""
    from data_platform.defs.classes import classes_of
    from data_platform.defs.dbt_compiled import compiled_models
    from data_platform.impact.build import build
    from data_platform.impact.people import derived_from, totals_from
    from data_platform.privacy.classes import NONE
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
    classed = classes_of(platform.catalog).columns
    found = derived_from(graph, held, {(one.schema, one.table) for one in classed if one.class_ != NONE})
    return [*found, *totals_from(graph, held, found)]
