"""What each column of the warehouse holds of a person, as an asset: the table `governance.columns`."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.defs import shown
from data_platform.defs.classes import classes_of
from data_platform.defs.names import CLASSES, pool
from data_platform.defs.purposes import misdeclared
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.governance.columns import keep_columns
from data_platform.governance.scan import VALUES_MAX, Scanned, scan_all
from data_platform.warehouses import WarehouseConfig

DAILY = "15 4 * * *"
DECLARED = "declared"
UNDECLARED = "undeclared_personal_data"
FINDINGS_NAMED = 5
COLUMNS_SHOWN = 500


def governance_definitions(
    warehouse: WarehouseConfig, models: Iterable[dg.AssetKey], *, running: bool
) -> dg.Definitions:
    """``models`` are the assets that dbt makes."""

    @dg.asset(
        key=CLASSES,
        deps=sorted(models),
        pool=pool(warehouse),
        group_name="governance",
        kinds={warehouse.kind},
        description="Each column that holds something of a person, with its class, its treatment and the columns of the sources that it"
        " comes from: the table `governance.columns` of the warehouse.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48)),
    )
    def columns(platform: PlatformResource) -> Any:
        opened = platform.open()
        found = classes_of(opened.catalog)
        with opened.warehouse() as held:
            written = keep_columns(held, found, opened.clock())
        counts = Counter(one.class_ for one in found.columns)
        rows = [
            (f"{one.schema}.{one.table}", one.label, one.class_, one.treatment, ", ".join(one.sources))
            for one in found.columns[:COLUMNS_SHOWN]
        ]
        return dg.MaterializeResult(
            metadata={
                "columns": len(found.columns),
                "rows_written": written,
                "by_class": dg.MetadataValue.json(dict(sorted(counts.items()))),
                "classes": shown.table(("table", "column", "class", "treatment", "comes from"), rows),
            }
        )

    @dg.asset_check(
        asset=CLASSES,
        name=DECLARED,
        description="Each column that people can read and that is made of personal columns declares its class in its model's YAML, and each"
        " model under a purpose asks for consent.",
    )
    def declared(platform: PlatformResource) -> dg.AssetCheckResult:
        catalog = platform.open().catalog
        faults = [fault.text for fault in (*classes_of(catalog).faults, *misdeclared(catalog))]
        return dg.AssetCheckResult(
            passed=not faults,
            description=shown.description(
                " ".join(faults)
                or "Every column declares its class, and every model under a purpose asks for consent."
            ),
            metadata={"faults": shown.lines("fault", faults)} if faults else {},
        )

    @dg.asset_check(
        asset=CLASSES,
        name=UNDECLARED,
        pool=pool(warehouse),
        description="No text column of a raw table, or of a model that people read, holds personal data about which nothing is"
        f" declared. At most {VALUES_MAX} values of each column are looked at.",
    )
    def undeclared_personal_data(platform: PlatformResource) -> dg.AssetCheckResult:
        opened = platform.open()
        found = classes_of(opened.catalog)
        with opened.warehouse(read_only=True) as held:
            scanned = scan_all(held, opened.catalog, found)
        return _scan_result(scanned)

    daily = scheduled(
        "governance_daily",
        dg.AssetSelection.assets(CLASSES),
        DAILY,
        "Write what each column holds of a person, and look for personal data that nobody declared.",
        running=running,
    )
    return dg.Definitions(
        assets=[columns], asset_checks=[declared, undeclared_personal_data], schedules=[daily]
    )


def _scan_result(scanned: Scanned) -> dg.AssetCheckResult:
    """A warning, since values are judged by how they look."""
    told = [f"{label}.{one.text}" for label, one in scanned.findings]
    more = f" and {len(told) - FINDINGS_NAMED} more" if len(told) > FINDINGS_NAMED else ""
    text = f"Nothing was found in {scanned.relations} tables."
    if told:
        text = (
            f"{'; '.join(told[:FINDINGS_NAMED])}{more}. Declare each: `personal:` of the table in the catalog, or `privacy` at the"
            " column in the model's YAML."
        )
    if scanned.failed:
        text += f" {len(scanned.failed)} tables could not be looked at."
    rows = [(label, one.column, one.what, one.values, one.sampled) for label, one in scanned.findings]
    metadata: dict[str, Any] = {"tables": scanned.relations}
    if rows:
        metadata["findings"] = shown.table(("table", "column", "what", "values", "of"), rows[:COLUMNS_SHOWN])
    if scanned.failed:
        metadata["not_looked_at"] = shown.lines("table", scanned.failed)
    return dg.AssetCheckResult(
        passed=not rows and not scanned.failed,
        severity=dg.AssetCheckSeverity.WARN,
        description=shown.description(text),
        metadata=metadata,
    )
