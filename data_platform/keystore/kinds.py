"""Every kind of keystore that ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from data_platform.keystore.keys import Keystore
from data_platform.keystore.postgres import PostgresKeystoreConfig
from data_platform.keystore.sqlite import SqliteKeystoreConfig

KeystoreConfig = Annotated[SqliteKeystoreConfig | PostgresKeystoreConfig, Field(discriminator="kind")]
"""Join the next kind with `|`; its `kind` tells them apart."""


def opened(config: KeystoreConfig, root: Path, environ: Mapping[str, str]) -> Keystore:
    """The keystore; nothing is connected to until it is used. ConfigurationError where a variable that it needs is not set."""
    masters = [config.master.open(environ)]
    if config.previous_master is not None:
        masters.append(config.previous_master.open(environ))
    return Keystore(config.rows(root, environ), masters)
