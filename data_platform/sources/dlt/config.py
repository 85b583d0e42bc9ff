"""Which function makes the source, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from pydantic import Field, PrivateAttr

from data_platform.sources.given import Given, leaves, resolved, variables
from data_platform.sources.kind import Connection
from data_platform.yaml_fields import FrozenDict


class DltConnection(Connection):
    """A function that gives a dlt source or resource."""

    _root: Path = PrivateAttr(default=Path())

    function: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="The function that makes the dlt source, as `module:function`.",
    )
    path: str = Field(
        default=".",
        description="The folder that holds the module, unless it is installed. A relative path starts at the project's"
        " folder.",
    )
    arguments: Given = Field(
        default_factory=FrozenDict,
        description="The function's arguments, by name. A key that ends in `_env`, at any depth, names an environment"
        " variable: `token_env: SHOP_TOKEN` gives the argument `token`.",
    )
    config: Given = Field(
        default_factory=FrozenDict,
        description="The settings that resources ask dlt itself for (`dlt.secrets.value`, `dlt.config.value`), by field or by their whole"
        " path, such as `sources.github.access_token_env: GITHUB_TOKEN`.",
    )

    def under(self, root: Path) -> Self:
        copy = self.model_copy()
        copy._root = root
        return copy

    @property
    def folder(self) -> Path:
        """The one that holds the module."""
        return self._root / self.path

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        return dict.fromkeys(self._variables(), True)

    def variable(self, key: str) -> str:
        return self._variables()[key]

    def _variables(self) -> dict[str, str]:
        return dict([*variables(self.arguments, "arguments"), *variables(self.config, "config")])


def connection_of(connection: Connection) -> DltConnection:
    """The connection of a source of this kind."""
    return cast(DltConnection, connection)


@dataclass(frozen=True, repr=False)
class Called:
    """The function, with what it is given: values of variables are in ``arguments`` and ``config``."""

    source: str
    function: str
    path: str
    arguments: Mapping[str, Any]
    config: Mapping[str, Any]
    secrets: frozenset[str]


def called(source: str, connection: DltConnection, environ: Mapping[str, str]) -> Called:
    """ConfigurationError for a variable that is not set."""
    names = [connection.variable(key) for key in connection.variables(environ)]
    return Called(
        source,
        connection.function,
        str(connection.folder.absolute()),
        resolved(connection.arguments, source, environ),
        dict(leaves(resolved(connection.config, source, environ))),
        frozenset(environ[name].strip() for name in names if len(environ.get(name, "").strip()) >= 6),
    )
