"""Opens Iceberg's catalog. The library is an extra and is imported here, when a table is exported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import ConfigurationError
from data_platform.iceberg.config import IcebergConfig, RESTCatalog
from data_platform.private_files import make_private

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

NAME = "data_platform"


def open_catalog(config: IcebergConfig, root: Path, environ: Mapping[str, str] = os.environ) -> Catalog:
    """``ConfigurationError`` where the library is not installed or a variable is not set."""
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError:
        raise ConfigurationError(
            "Iceberg's library is not installed. Install this package with its extra `iceberg`: pip install"
            " 'data-platform[iceberg]'."
        ) from None
    return load_catalog(NAME, **_catalog(config, root, environ), **_files(config, environ))


def place(config: IcebergConfig, root: Path) -> str:
    """Where the tables' files are, as an address."""
    if "://" in config.location:
        return config.location.rstrip("/")
    return (root / config.location).resolve().as_uri()


def _catalog(config: IcebergConfig, root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    chosen, location = config.catalog, place(config, root)
    if isinstance(chosen, RESTCatalog):
        given = {"type": "rest", "uri": chosen.url}
        given |= {"warehouse": chosen.warehouse} if chosen.warehouse else {}
        for setting in ("token", "credential"):
            if variable := getattr(chosen, f"{setting}_env"):
                given[setting] = _secret(environ, variable)
        return given
    if "://" not in config.location:
        make_private(root / config.location)
    if chosen.url_env is not None:
        return {"type": "sql", "uri": _secret(environ, chosen.url_env), "warehouse": location}
    assert chosen.path is not None
    path = root / chosen.path
    make_private(path.parent)
    return {"type": "sql", "uri": f"sqlite:///{path}", "warehouse": location}


def _files(config: IcebergConfig, environ: Mapping[str, str]) -> dict[str, str]:
    access, given = config.s3, {}
    if access.region:
        given["s3.region"] = access.region
    if access.endpoint_url:
        given["s3.endpoint"] = access.endpoint_url
    if access.access_key_env and access.secret_key_env:
        given["s3.access-key-id"] = _secret(environ, access.access_key_env)
        given["s3.secret-access-key"] = _secret(environ, access.secret_key_env)
    return given


def _secret(environ: Mapping[str, str], variable: str) -> str:
    if not (value := environ.get(variable)):
        raise ConfigurationError(
            f"The environment variable {variable}, which `iceberg:` in catalog/platform.yaml names, is not set."
        )
    return value
