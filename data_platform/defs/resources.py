"""The resource of the graph: the platform, which is opened only when it is used.

Anybody who launches a run can set every field of a configurable Dagster resource. So nothing here is configurable:
only the project's files name a program, a path or an environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from data_platform.defs.purposes import exportable
from data_platform.defs.surroundings import variables
from data_platform.sync import Platform, open_platform


@dataclass(frozen=True, slots=True)
class PlatformHandle:
    """``root`` is the project folder, ``environment`` a name in ``catalog/platform.yaml``."""

    root: Path
    environment: str

    def open(self, *, whole: bool = False) -> Platform:
        """The catalog as it is now, its store and its ledger; connects to nothing. A source whose file
        has a mistake stops no other, unless the ``whole`` catalog is asked for."""
        return open_platform(
            self.root, self.environment, variables(self.root), whole=whole, exportable=exportable
        )


PlatformResource = dg.ResourceParam[PlatformHandle]
"""Annotates the argument of an asset, check or sensor that asks for the platform."""


def resources(root: Path, environment: str) -> dict[str, dg.ResourceDefinition]:
    """Every resource of the graph. The assets pass no values to each other, so what would store them
    (in a folder that a run's configuration may name) is replaced by what keeps nothing."""
    handle = PlatformHandle(root, environment)
    return {
        "platform": dg.ResourceDefinition(lambda _: handle, config_schema={}),
        "io_manager": dg.IOManagerDefinition(lambda _: dg.InMemoryIOManager(), config_schema={}),
    }
