"""A plugin of dbt-duckdb: DuckDB's extensions come from installed wheels, and nothing is downloaded while models run.

``dbt/profiles.yml`` names it where an attached database needs an extension. dbt imports it in its own process.
"""

from __future__ import annotations

import json
import os
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from data_platform.sql import literal
from data_platform.warehouses.duckdb.extensions import extension_file

BUCKET = "DBT_ENV_SECRET_DUCKDB_S3"
"""The variable with the parameters of a bucket's secret, a JSON object. dbt keeps its value out of its logs."""


class Plugin(BasePlugin):
    """``config: {extensions: "ducklake postgres_scanner"}``, in the order in which they are loaded."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self.extensions = str(plugin_config.get("extensions", "")).split()

    def configure_connection(self, conn: Any) -> None:
        for name in self.extensions:
            conn.execute(f"LOAD {literal(str(extension_file(name)))}")
        if given := os.environ.get(BUCKET):
            spelled = ", ".join(f"{name} {literal(value)}" for name, value in json.loads(given).items())
            conn.execute(f"CREATE OR REPLACE SECRET bucket (TYPE s3, {spelled})")
