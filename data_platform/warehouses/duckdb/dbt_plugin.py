"""A plugin of dbt-duckdb: DuckDB's extensions come from installed wheels, and nothing is downloaded while models run.

``dbt/profiles.yml`` names it where an attached database needs an extension. dbt imports it in its own process.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from data_platform.errors import ConfigurationError
from data_platform.sql import literal


class Plugin(BasePlugin):
    """``config: {extensions: "ducklake postgres_scanner"}``, in the order in which they are loaded."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self.extensions = str(plugin_config.get("extensions", "")).split()

    def configure_connection(self, conn: Any) -> None:
        for name in self.extensions:
            conn.execute(f"LOAD {literal(str(extension_file(name)))}")


def extension_file(name: str) -> Path:
    """The extension's file in the wheel ``duckdb-extension-<name>`` of this DuckDB's version."""
    import duckdb

    wheel = importlib.util.find_spec(f"duckdb_extension_{name}")
    for folder in wheel.submodule_search_locations or () if wheel else ():
        path = Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if path.is_file():
            return path
    raise ConfigurationError(
        f"DuckDB's extension {name} for DuckDB {duckdb.__version__} is not installed."
        f" Install the package duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}."
    )
