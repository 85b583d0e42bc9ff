"""What the graph's code asks for: the platform, opened when used and not before."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
from dotenv import dotenv_values

from data_platform.sync import Platform, open_platform


class PlatformResource(dg.ConfigurableResource):
    """``root`` is the project folder, ``environment`` a name in ``catalog/platform.yaml``."""

    root: str
    environment: str

    def open(self) -> Platform:
        """The catalog as it is now, its store and its ledger; connects to nothing. Variables come
        from the environment, and from the project's ``.env`` where the environment is silent."""
        beside = {name: value for name, value in dotenv_values(Path(self.root) / ".env").items() if value}
        return open_platform(Path(self.root), self.environment, {**beside, **os.environ})
