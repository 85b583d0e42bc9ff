"""Every kind of store ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from data_platform.stores import Store
from data_platform.stores.gcs.config import GCSStoreConfig
from data_platform.stores.local import LocalStore, LocalStoreConfig
from data_platform.stores.s3.config import S3StoreConfig

StoreConfig = Annotated[LocalStoreConfig | S3StoreConfig | GCSStoreConfig, Field(discriminator="kind")]
"""Join the next kind with `|`; its `kind` tells them apart."""


def in_folder(path: Path) -> Store:
    """A store in a folder of this machine, for what is brought back to it."""
    return LocalStore(path)
