"""The names the graph is made of: asset keys, groups, pools, tags. Pure.

``source/shop/orders`` is the table at the source, ``raw/shop/orders`` the table
in the warehouse, ``marts/order_facts`` a dbt model.
"""

from __future__ import annotations

from dagster import AssetKey

from data_platform.tables import TableId
from data_platform.warehouses import PLATFORM_SCHEMA, WarehouseConfig

WAREHOUSE_POOL = "warehouse"
"""Where one process may write: whatever opens the warehouse takes the one slot of this pool."""

TOUCHED_SLICES = AssetKey([PLATFORM_SCHEMA, "touched_slices"])
"""The platform's own record in the warehouse, written with each load; incremental models read it."""

TABLE_READS = AssetKey([PLATFORM_SCHEMA, "table_reads"])
"""Another one, written with each read, whether or not it found anything new."""

PUBLISHED = AssetKey(["published", "warehouse"])
"""The copy for readers."""

CLASSES = AssetKey(["governance", "columns"])
"""What each column holds of a person, as a table of the warehouse."""

STATUS_PAGE = AssetKey(["observability", "status_page"])
"""What of the data can be believed, for people."""

COMPLETE = "complete"
QUARANTINE = "quarantine"
ANOMALIES = "anomalies"
FRESHNESS = "freshness"
NEWEST_DATA = "newest_data"
ARRIVES = "arrives"

BACKUP = AssetKey(["backup", "warehouse"])
DRILL = AssetKey(["restore_drill", "warehouse"])
ARCHIVE = AssetKey(["backup", "archive"])
COLD = AssetKey(["backup", "cold_copy"])
TIERS = AssetKey(["backup", "storage_classes"])
COPIES = AssetKey(["backup", "copies"])
LANDING_COPIES = AssetKey(["backup", "landing"])
AUDIT_HEAD = AssetKey(["audit", "head"])
ERASURES = AssetKey(["privacy", "erasures"])
RETENTION = AssetKey(["privacy", "retention"])
CONSENT_DECISIONS = AssetKey(["privacy", "consent_decisions"])
KEYSTORE = AssetKey(["privacy", "keystore"])
ARCHIVE_DRILL = AssetKey(["restore_drill", "archive"])

TOLD_BY_CHECKS = "told_by_checks"
"""In a failed step's metadata: how many of its failures are asset checks, which are told by themselves."""

SCHEMA_CHANGED = "schema_changed"
"""In a failed step's metadata: the tables whose schema changed in a way that does not flow by itself."""

NOT_EVALUATED = "could_not_be_evaluated"
"""In a failed check's metadata: true if nobody knows whether the data is as it should be."""

SOURCE_TAG = "data_platform/source"
SEQUENCE_TAG = "data_platform/sequence"
CLASS_TAG, TREATMENT_TAG = "data_platform/class", "data_platform/treatment"
"""Of a column: what it holds of a person (``privacy/classes.py``), and how it landed."""
"""On a materialization: the sequence of the newest batch it stands for."""


def pool(warehouse: WarehouseConfig) -> str | None:
    """The pool of whatever opens ``warehouse``; none where many processes may write."""
    return WAREHOUSE_POOL if warehouse.traits.writers == "one" else None


def source_key(table: TableId) -> AssetKey:
    return AssetKey(["source", table.source, table.table])


def raw_key(table: TableId) -> AssetKey:
    return AssetKey(["raw", table.source, table.table])


def table_of(key: AssetKey) -> TableId | None:
    """The table of a raw key; None for any other asset."""
    return TableId(key.path[1], key.path[2]) if len(key.path) == 3 and key.path[0] == "raw" else None


def sync_op(source: str) -> str:
    return f"sync_{source}"


def sync_job(source: str) -> str:
    return f"{source}_changes"


def changes_schedule(source: str, cron: str | None) -> str:
    """The schedule of the tables with the line ``cron`` of their own: ``crm_changes_at_0_6_x_x_1``; without one, of
    all others."""
    if cron is None:
        return sync_job(source)
    for sign, word in (("*", "x"), ("/", "_per_"), (",", "_and_"), ("-", "_to_")):
        cron = cron.replace(sign, word)
    return f"{source}_changes_at_{'_'.join(cron.split())}"


def source_group(source: str) -> str:
    return f"{source}_source"


def raw_group(source: str) -> str:
    return f"{source}_raw"
