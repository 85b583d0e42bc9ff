"""An environment, and what all environments share about privacy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from data_platform.alerts.config import AlertsConfig
from data_platform.audit.config import AuditConfig
from data_platform.backups.config import BackupsConfig
from data_platform.catalog.airflow import AirflowConfig
from data_platform.catalog.runs import RunsConfig
from data_platform.iceberg.config import IcebergConfig
from data_platform.keystore.kinds import KeystoreConfig
from data_platform.landing.signing import SigningConfig
from data_platform.observability.config import StatusPageConfig
from data_platform.privacy.config import Party, Processing
from data_platform.privacy.retention.rule import RetentionConfig
from data_platform.stores.kinds import StoreConfig
from data_platform.warehouses.kinds import WarehouseConfig
from data_platform.warehouses.publishing import PublishConfig
from data_platform.yaml_fields import VARIABLE, Frozen, FrozenDict, Model


class Privacy(Model):
    hash_key_env: str = Field(
        default="DATA_PLATFORM_HASH_KEY",
        pattern=VARIABLE,
        description="Environment variable that holds the key for hashing `hash` columns, of at least"
        " 16 bytes. Keep a copy: a different key gives different hashes.",
    )
    controller: Party | None = Field(
        default=None, description="The company that decides about the data, for the record of processing."
    )
    officer: Party | None = Field(default=None, description="Its data protection officer, if it has one.")
    processing: Annotated[Mapping[str, Processing], Frozen] = Field(
        default_factory=FrozenDict,
        description="By the name of a source, why it is read and whose data it holds.",
    )
    declared_in: tuple[str, ...] = Field(
        default=("marts", "snapshots"),
        description="Schemas (`marts`) and single relations (`staging.stg_shop__orders`) that people read: a column there that is made of"
        " personal columns has to declare its class. Default: `marts` and `snapshots`.",
    )


class EnvironmentSettings(Model):
    """One environment: where data lands, where it is loaded, where alerts go."""

    landing: StoreConfig = Field(description="The landing store, which keeps every batch as it was read.")
    warehouse: WarehouseConfig = Field(description="The warehouse into which batches are loaded.")
    publish: PublishConfig | None = Field(
        default=None,
        description="The read-only copy of chosen schemas that is made after each build, for readers who never wait for a load.",
    )
    backups: BackupsConfig | None = Field(
        default=None, description="Where the verified daily copies of the warehouse are kept."
    )
    iceberg: IcebergConfig | None = Field(
        default=None, description="Which tables are exported to Iceberg for other engines."
    )
    keystore: KeystoreConfig | None = Field(
        default=None,
        description="Where the keys are kept under which `seal` seals personal values, one for each person.",
    )
    retention: RetentionConfig = Field(
        default_factory=RetentionConfig,
        description="Whether the tables' own `retention` is enforced or only shown.",
    )
    signing: SigningConfig = Field(
        default_factory=SigningConfig,
        description="The key that signs manifests of the ledger and of backups.",
    )
    audit: AuditConfig = Field(
        default_factory=AuditConfig,
        description="Where the audit trail lies: who read in clear, erased, deleted backups, changed the catalog or queried.",
    )
    automation: Literal["running", "stopped"] = Field(
        default="stopped",
        description="Whether schedules and sensors start automatically. Alerts always do.",
    )
    status_page: StatusPageConfig | None = Field(
        default=None,
        description="The page that says what of the data can be believed; it is written after each build and each hour.",
    )
    runs: RunsConfig = Field(
        default_factory=RunsConfig, description="Where runs are executed, and their cores and memory."
    )
    airflow: AirflowConfig | None = Field(
        default=None, description="An Airflow beside the platform, whose DAGs are shown in the graph."
    )
    alerts: AlertsConfig = Field(
        default_factory=AlertsConfig,
        description="Where failures, stale tables and failed checks are reported.",
    )


class Environment(EnvironmentSettings):
    name: str
