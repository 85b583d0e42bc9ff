"""Which manifest is run, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self, cast

from pydantic import Field, PrivateAttr, field_validator

from data_platform.sources.given import Given, leaves, variables
from data_platform.sources.kind import Connection
from data_platform.yaml_fields import FrozenDict

INJECTED = "__injected"


class AirbyteConnection(Connection):
    """A declarative manifest of Airbyte's, and its config."""

    _root: Path = PrivateAttr(default=Path())

    manifest: str = Field(
        description="The manifest's file, unchanged. A relative path starts at the project's folder."
    )
    config: Given = Field(
        default_factory=FrozenDict,
        description="The connector's config, as the manifest's `spec` describes it. A key that ends in `_env`, at any depth,"
        " names an environment variable: `api_key_env: SHOP_KEY` gives `api_key`.",
    )
    environment: str = Field(
        default=".airbyte",
        description="The Python environment in which airbyte-cdk is installed. `make airbyte` makes it.",
    )
    silence_seconds: float = Field(
        default=900,
        gt=0,
        le=86_400,
        description="How long the connector may say nothing before it is ended. It waits by itself where an API asks for it.",
    )

    @field_validator("config")
    @classmethod
    def _no_code(cls, config: Mapping[str, object]) -> Mapping[str, object]:
        if any(INJECTED in path for path, _ in leaves(config)):
            raise ValueError("holds code or a manifest for the connector; only a manifest's file is run")
        return config

    def under(self, root: Path) -> Self:
        copy = self.model_copy()
        copy._root = root
        return copy

    def at(self, path: str) -> Path:
        """A path of this connection."""
        return self._root / path

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        return dict.fromkeys(self._variables(), True)

    def variable(self, key: str) -> str:
        return self._variables()[key]

    def _variables(self) -> dict[str, str]:
        return dict(variables(self.config, "config"))


def connection_of(connection: Connection) -> AirbyteConnection:
    """The connection of a source of this kind."""
    return cast(AirbyteConnection, connection)
