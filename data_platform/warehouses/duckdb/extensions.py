"""DuckDB's extensions come from installed wheels: nothing is downloaded at run time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from data_platform.errors import ConfigurationError


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
        f" Install the package duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}; the extra `ducklake`"
        " brings those of a lake."
    )
