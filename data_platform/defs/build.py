"""Puts the graph together from a catalog. The one place that knows every stage."""

from __future__ import annotations

from functools import partial

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs import linear, unpartitioned
from data_platform.defs.alert_sensor import alert_sensor
from data_platform.defs.archive import archive_definitions
from data_platform.defs.audit import audit_definitions
from data_platform.defs.automation import automation_sensor
from data_platform.defs.backup import backup_definitions
from data_platform.defs.cold import cold_definitions
from data_platform.defs.consents import consent_definitions
from data_platform.defs.copies import copies_definitions
from data_platform.defs.data_retention import data_retention_definitions
from data_platform.defs.database_backup import database_definitions
from data_platform.defs.dbt import dbt_definitions, model_keys
from data_platform.defs.erasures import erasure_definitions
from data_platform.defs.everything import everything_definitions
from data_platform.defs.freshness import with_freshness
from data_platform.defs.governance import governance_definitions
from data_platform.defs.iceberg import iceberg_definitions
from data_platform.defs.jobs import IN_PROCESS, jobs, tables_target, whole_jobs
from data_platform.defs.keystore import keystore_definitions
from data_platform.defs.landing_copies import landing_definitions
from data_platform.defs.lapses import lapses_sensor
from data_platform.defs.maintenance import maintenance_definitions
from data_platform.defs.model_checks import checked_models
from data_platform.defs.names import BACKUP, PUBLISHED, raw_key
from data_platform.defs.probe_sensor import probe_sensor
from data_platform.defs.published import published_definitions
from data_platform.defs.raw import raw_assets
from data_platform.defs.reporting import reporting_sensor
from data_platform.defs.resources import resources
from data_platform.defs.retention import retention_sensor
from data_platform.defs.schedules import schedules
from data_platform.defs.source_checks import source_checks
from data_platform.defs.sources import platform_specs, source_assets
from data_platform.defs.status_page import status_page_definitions
from data_platform.defs.surroundings import variables
from data_platform.defs.wal import wal_definitions
from data_platform.warehouses.maintenance import maintainable


def build(catalog: Catalog, environment: str) -> dg.Definitions:
    """Everything the graph holds in ``environment``. Connects to nothing and reads no secret."""
    linear.install()
    unpartitioned.install()
    chosen = catalog.environment(environment)
    running, warehouse, runs = chosen.automation == "running", chosen.warehouse, chosen.runs
    sources = list(catalog.sources.values())
    whole = whole_jobs(catalog)
    targets = {source.name: tables_target(source, runs) for source in sources}
    gates = frozenset(
        raw_key(table.id)
        for source in sources
        for table in source.tables.values()
        if any(rule.blocking for rule in table.rules)
    )
    own = dg.Definitions(
        assets=[
            *map(source_assets, sources),
            *(assets for source in sources for assets in raw_assets(source, warehouse, runs)),
            *platform_specs(catalog, warehouse),
        ],
        asset_checks=[checks for source in sources for checks in source_checks(source, warehouse, runs)],
        jobs=jobs(catalog, runs, running=running),
        schedules=[
            schedule
            for source in sources
            for schedule in schedules(source, targets[source.name], running=running)
        ],
        sensors=[
            *(probe_sensor(source, targets[source.name], whole, running=running) for source in sources),
            automation_sensor(runs, running=running),
            reporting_sensor(catalog, whole),
            alert_sensor(),
            retention_sensor(),
        ],
        resources=resources(catalog.root, environment),
        executor=IN_PROCESS,
    )
    modelled = dbt_definitions(catalog, environment, gates)
    models = checked_models(catalog, modelled.asset_checks or ())
    parts = [own, modelled, dg.Definitions(sensors=[lapses_sensor(catalog, whole, models)])]
    examined: list[dg.AssetKey] = []
    held = [raw_key(table) for table in catalog.table_ids()] + model_keys(modelled)
    parts.append(governance_definitions(warehouse, model_keys(modelled), running=running))
    if chosen.publish is not None and warehouse.traits.publishes:
        parts.append(published_definitions(chosen.publish, catalog, warehouse, model_keys(modelled)))
        examined.append(PUBLISHED)
    if chosen.backups is not None and warehouse.traits.archive:
        parts.append(backup_definitions(chosen.backups, warehouse, held, running=running))
        parts.append(copies_definitions(chosen.backups, environment, running=running))
        parts.append(landing_definitions(chosen.backups, catalog, running=running))
        if chosen.backups.archive is not None:
            parts.append(archive_definitions(chosen.backups, warehouse, held, running=running))
        parts.append(cold_definitions(chosen.backups, running=running))
        examined.append(BACKUP)
    if chosen.backups is not None:
        parts.append(wal_definitions(sources, running=running))
        parts.append(database_definitions(sources, chosen.backups.start, running=running))
        if warehouse.traits.archive:
            parts.append(everything_definitions(sources, chosen.backups.everything, running=running))
    parts.append(audit_definitions(chosen.audit, running=running))
    parts.append(erasure_definitions(catalog, warehouse, running=running))
    applies = chosen.retention.apply
    parts.append(data_retention_definitions(catalog, warehouse, apply=applies, running=running))
    parts.append(consent_definitions(catalog, warehouse, running=running))
    if chosen.keystore is not None:
        parts.append(keystore_definitions(catalog, chosen.keystore, running=running))
    if chosen.iceberg is not None and warehouse.traits.archive:
        parts.append(iceberg_definitions(chosen.iceberg, warehouse, held, running=running))
    if warehouse.traits.maintained:
        parts.append(maintenance_definitions(maintainable(warehouse), running=running))
    if chosen.status_page is not None:
        parts.append(status_page_definitions(chosen.status_page, warehouse, [*held, *examined], list(parts)))
    whole_graph = with_freshness(dg.Definitions.merge(*parts), catalog)
    if chosen.airflow is None:
        return whole_graph
    from data_platform.defs.airflow import with_airflow

    given = partial(variables, catalog.root)
    return with_airflow(whole_graph, chosen.airflow, given, running=running)
