"""Engines behind a connection, started for tests: a folder an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from data_platform.warehouses import WarehouseConfig


@runtime_checkable
class EngineServer(Protocol):
    """A server that runs for the whole run. ``environ`` are the variables with which its warehouses are reached."""

    environ: Mapping[str, str]

    def config(self, folder: Path) -> WarehouseConfig:
        """An empty warehouse; the same one for the same folder."""

    def emptied(self, folder: Path) -> None:
        """What was made for the folder goes."""
