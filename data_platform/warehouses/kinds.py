"""Every kind of warehouse ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from data_platform.warehouses.archive import TrialConfig
from data_platform.warehouses.bigquery.config import BigQueryConfig
from data_platform.warehouses.duckdb.config import PATH_VARIABLE, DuckDBConfig
from data_platform.warehouses.ducklake.config import DuckLakeConfig
from data_platform.warehouses.redshift.config import RedshiftConfig
from data_platform.warehouses.snowflake.config import SnowflakeConfig

if (
    TYPE_CHECKING
):  # what everybody may know of a configured warehouse; which engine it is, its own folder knows
    from data_platform.warehouses import WarehouseConfig as WarehouseConfig
else:  # join the next kind with `|`; its `kind` tells them apart
    WarehouseConfig = Annotated[
        DuckDBConfig | DuckLakeConfig | RedshiftConfig | BigQueryConfig | SnowflakeConfig,
        Field(discriminator="kind"),
    ]

IN_MEMORY = {PATH_VARIABLE: ":memory:"}
"""What dbt's default output is given where no warehouse is read or written."""
FILE_SUFFIX = ".duckdb"


def in_file(path: Path) -> TrialConfig:
    """A warehouse in a file of this machine: what a backup of any engine can be restored into."""
    return DuckDBConfig(path=path.absolute(), memory_limit="384MB")
