"""The publication of an environment, end to end: which relations and columns are in it, make one, read the last one.

What holds something of a person stays out unless its class or the column is named (``privacy/leaving.py``). A column of which the models'
SQL says nothing is known by its name: one that the catalog keeps in clear somewhere, or that looks personal and that it nowhere treats, is
left out. A model under a purpose (``privacy/purposes.py``) is published for that purpose alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from data_platform.catalog import Catalog
from data_platform.errors import ConfigurationError
from data_platform.privacy import leaving
from data_platform.privacy.documents import parse_path
from data_platform.privacy.leaving import Carried, Name, not_said
from data_platform.privacy.names import of_name
from data_platform.privacy.purposes import NOT_UNDER, Exportable
from data_platform.sync.platform import Platform
from data_platform.warehouses import PLATFORM_SCHEMA, Relation, Warehouse
from data_platform.warehouses.dialect import counts
from data_platform.warehouses.publishing import Chosen, Publication, PublishConfig, publishable

STALE_AFTER_HOURS = 6


def settings(platform: Platform) -> PublishConfig:
    found = platform.environment.publish
    if found is None:
        raise ConfigurationError(
            f"The environment {platform.environment.name!r} has no `publish:` in catalog/platform.yaml, so nothing is published."
            " Add `publish: {path: .data/published.duckdb}`."
        )
    return found


def place(platform: Platform) -> Path:
    """The file of the publication."""
    return platform.catalog.root / settings(platform).path


def publish(platform: Platform) -> Publication:
    """Copy what the catalog names, and put it in the place of the last publication."""
    config, catalog = settings(platform), platform.catalog
    warehouse = publishable(platform.environment.warehouse)
    choose = chooser(config, catalog, platform.exportable(catalog))
    return warehouse.publish(catalog.root, place(platform), choose, platform.clock, group=config.group)


def withheld(platform: Platform) -> list[str]:
    """The models of the published schemas that are left out, since they are made for a purpose that is not the publication's."""
    config, known = settings(platform), platform.exportable(platform.catalog)
    places = [one for one in known.models if {one[0], ".".join(one)} & set(config.schemas)]
    return sorted(map(".".join, known.withheld(config.purpose, places, _named(config))))


def published(platform: Platform) -> AbstractContextManager[tuple[Warehouse, Publication]]:
    """The publication, for one piece of reading, and what it says of itself."""
    warehouse = publishable(platform.environment.warehouse)
    return warehouse.published(platform.catalog.root, place(platform))


def newest(platform: Platform) -> Publication | None:
    """What the publication says of itself; None before the first one."""
    if not place(platform).is_file():
        return None
    with published(platform) as (_, found):
        return found


def mismatches(platform: Platform) -> list[str]:
    """Tables of the publication that do not have the rows that it says; a sentence each."""
    with published(platform) as (copy, made):
        sql = counts(copy.dialect, [(one.schema, one.name) for one in made.relations])
        found = dict(copy.query(sql).rows)
    return [
        f"{one.schema}.{one.name} has {found[number]:,} rows and should have {one.rows:,}"
        for number, one in enumerate(made.relations)
        if found[number] != one.rows
    ]


def stale_after_hours(config: PublishConfig, catalog: Catalog) -> float:
    """The age at which a publication is stale: what ``config`` says, else that of the mart that is built most often."""
    hours = [table.freshness_hours for source in catalog.sources.values() for table in source.tables.values()]
    return config.max_age_hours or max(STALE_AFTER_HOURS, min(hours, default=STALE_AFTER_HOURS))


def is_there(platform: Platform) -> bool:
    """Whether the environment publishes, and has done so."""
    return platform.environment.publish is not None and place(platform).is_file()


def chooser(
    config: PublishConfig, catalog: Catalog, known: Exportable | None = None
) -> Callable[[Sequence[Relation]], list[Chosen]]:
    """Of a warehouse's relations, those that ``config`` names, without the personal columns that it does not let go and without models of
    other purposes. ConfigurationError where it has a purpose and another relation than one under it holds something of a person."""
    names, known = Names.of(catalog), known or Exportable()
    carried = known.carried()

    def choose(relations: Sequence[Relation]) -> list[Chosen]:
        for wanted in config.schemas:
            if not any(wanted in _labels(relation) for relation in relations):
                raise ConfigurationError(
                    f"`publish: schemas:` in catalog/platform.yaml names {wanted}, and the warehouse has nothing of this name."
                    " Build the models first, or take it out."
                )
        wanted_labels = set(config.schemas)
        left_out = known.withheld(config.purpose, list(known.models), _named(config))
        chosen = [
            _chosen(relation, config, names, carried.get(_place(relation), {}))
            for relation in relations
            if relation.schema != PLATFORM_SCHEMA
            and wanted_labels & _labels(relation)
            and _place(relation) not in left_out
        ]
        if not chosen and left_out:
            raise ConfigurationError(
                f"All that `publish: schemas:` names is made for other purposes than {config.purpose or 'none'}, so nothing is published."
                " Name a purpose with `publish: purpose:` in catalog/platform.yaml."
            )
        refused = known.refused(config.purpose, {_place(one.relation): one.columns for one in chosen})
        if refused:
            raise ConfigurationError(
                NOT_UNDER.format(where="publish", purpose=config.purpose, tables="; ".join(refused))
            )
        return chosen

    return choose


def _named(config: PublishConfig) -> list[Name]:
    """The relations that it names one by one."""
    return [
        (schema.lower(), name.lower())
        for schema, dot, name in (one.partition(".") for one in config.schemas)
        if dot
    ]


def _place(relation: Relation) -> Name:
    return relation.schema.lower(), relation.name.lower()


def _ends(key: str) -> set[str]:
    """The names that a value may have: of a path, the column that it leads into and its last key."""
    try:
        path = parse_path(key)
    except ValueError:
        path = (key,)
    return {key.lower(), path[0].lower(), path[-1].lower()}


def _labels(relation: Relation) -> set[str]:
    return {relation.schema, f"{relation.schema}.{relation.name}"}


def _chosen(
    relation: Relation, config: PublishConfig, names: Names, carried: Mapping[str, Carried]
) -> Chosen:
    place = _place(relation)
    unsaid = not_said(config, place, [name for name, _ in relation.columns], carried)
    left_out = tuple(
        name
        for name, _ in relation.columns
        if name in unsaid
        or (
            name.lower() not in carried
            and names.in_clear(name, relation.name)
            and not leaving.names(config, place, name)
        )
    )
    columns = tuple(name for name, _ in relation.columns if name not in left_out)
    if not columns:
        raise ConfigurationError(
            f"Every column of {relation.schema}.{relation.name} is personal, so nothing of it can be published. Name the classes"
            " that may leave under `publish: classes:` in catalog/platform.yaml, or the columns under `publish: personal:`, or leave the"
            " relation out of `schemas`."
        )
    return Chosen(relation, columns, left_out)


@dataclass(frozen=True, slots=True)
class Names:
    """Names of columns in the catalog: ``known`` to hold nothing in clear somewhere, treated or not personal, and ``kept`` in clear
    somewhere."""

    known: frozenset[str]
    kept: frozenset[str]

    @classmethod
    def of(cls, catalog: Catalog) -> Names:
        known, kept = set(), set()
        for source in catalog.sources.values():
            for table in source.tables.values():
                for key, treatment in table.personal.items():
                    if treatment == "keep":
                        kept |= _ends(key)
                    else:
                        known.add(key.lower())
        return cls(frozenset(known), frozenset(kept))

    def in_clear(self, column: str, relation: str) -> bool:
        """Whether a column of this name may hold personal values as they are."""
        name = column.lower()
        return name in self.kept or (of_name(column, relation) is not None and name not in self.known)
