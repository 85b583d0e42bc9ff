"""Exports what has changed of the chosen tables to Iceberg."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from data_platform.errors import ConfigurationError, ExportFailed
from data_platform.iceberg.catalog import open_catalog
from data_platform.iceberg.config import IcebergConfig
from data_platform.iceberg.export import Exported, export_table
from data_platform.privacy.leaving import Carried, Name, not_said, sentence
from data_platform.privacy.purposes import NOT_UNDER, Exportable
from data_platform.sync.platform import Platform
from data_platform.warehouses.archive import Archivable, StoredTable, archivable

MEMORY = "384MB"
"""Of the warehouse meanwhile: it spills beyond, and the rows under way need room too."""


def settings(platform: Platform) -> IcebergConfig:
    found = platform.environment.iceberg
    if found is None:
        raise ConfigurationError(
            f"The environment {platform.environment.name!r} has no `iceberg:` in catalog/platform.yaml, so nothing is"
            " exported. docs/iceberg.md shows a block to begin with."
        )
    return found


def export(platform: Platform) -> Iterator[Exported | ExportFailed]:
    """Each chosen table, in order, with what became of it; one that fails does not stop the others.
    ``ExportFailed`` is raised where no table is one of the chosen."""
    config = settings(platform)
    catalog = open_catalog(config, platform.catalog.root, platform.environ)
    with _reading(platform) as warehouse:
        keys = _keys(platform)
        with warehouse.snapshot():
            chosen = _chosen(warehouse, config, platform.exportable(platform.catalog))
            for table in chosen:
                if isinstance(table, ExportFailed):
                    yield table
                    continue
                key = keys.get((table.schema, table.name), ())
                try:
                    yield export_table(catalog, warehouse, table, key, keep_days=config.keep_days)
                except ExportFailed as error:
                    yield error


@contextmanager
def _reading(platform: Platform) -> Iterator[Archivable]:
    bounded = archivable(platform.environment.warehouse).bounded(MEMORY)
    with bounded.open(platform.catalog.root, read_only=True) as warehouse:
        yield warehouse


def withheld(platform: Platform) -> list[str]:
    """The models among the chosen tables that are not exported, since they are made for a purpose that is not the export's."""
    config, known = settings(platform), platform.exportable(platform.catalog)
    places = [one for one in known.models if config.exports(*one)]
    return sorted(map(".".join, known.withheld(config.purpose, places, _named(config, known))))


def _named(config: IcebergConfig, known: Exportable) -> list[Name]:
    """The models that it names one by one."""
    return [place for place in known.models if ".".join(place) in config.tables]


def _chosen(
    warehouse: Archivable, config: IcebergConfig, known: Exportable
) -> list[StoredTable | ExportFailed]:
    """A failure stands for a table with a column of which the export does not say that it may leave. ``ExportFailed`` is raised where the
    export has a purpose and another table than a model under it holds something of a person."""
    left_out = known.withheld(config.purpose, list(known.models), _named(config, known))
    tables = [
        table
        for table in warehouse.inventory().tables
        if config.exports(table.schema, table.name)
        and (table.schema.lower(), table.name.lower()) not in left_out
    ]
    columns = {
        (one.schema.lower(), one.name.lower()): [column.name for column in one.columns] for one in tables
    }
    if refused := known.refused(config.purpose, columns):
        raise ExportFailed(
            NOT_UNDER.format(where="iceberg", purpose=config.purpose, tables="; ".join(refused))
        )
    if not tables:
        raise ExportFailed(
            f"No table of the warehouse is among {', '.join(config.tables)}, so nothing was exported to Iceberg. Views are not"
            " exported. Correct `iceberg: tables` in catalog/platform.yaml, or sync and build the models first."
        )
    carried = known.carried()
    return [_let_go(table, config, carried) for table in tables]


def _let_go(
    table: StoredTable, config: IcebergConfig, carried: Mapping[Name, Mapping[str, Carried]]
) -> StoredTable | ExportFailed:
    place = table.schema.lower(), table.name.lower()
    found = not_said(config, place, [column.name for column in table.columns], carried.get(place, {}))
    if not found:
        return table
    why = " ".join(sentence("iceberg", place, column, one) for column, one in found.items())
    return ExportFailed(
        f"{table.schema}.{table.name} is not exported to Iceberg. {why} Or leave the table out of `iceberg: tables:`."
    )


def _keys(platform: Platform) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The keys of the raw tables: rows in the order of a key are read cheaper than in the order of all columns."""
    found = platform.ledger.ahead_of(list(platform.catalog.table_ids()), states=False)
    heads = ((table, ledger.head(table)) for ledger, table in found)
    return {(table.raw_schema, table.table): head.key for table, head in heads if head}
