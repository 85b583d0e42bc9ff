"""Every kind of landing store ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from data_platform.stores.local import LocalStoreConfig

StoreConfig = LocalStoreConfig  # join the next kind with `|`; its `kind` tells them apart
