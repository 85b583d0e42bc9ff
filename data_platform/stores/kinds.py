"""Every kind of store ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data_platform.stores.gcs import GCSStoreConfig
from data_platform.stores.local import LocalStoreConfig
from data_platform.stores.s3 import S3StoreConfig

StoreConfig = Annotated[LocalStoreConfig | S3StoreConfig | GCSStoreConfig, Field(discriminator="kind")]
"""Join the next kind with `|`; its `kind` tells them apart."""
