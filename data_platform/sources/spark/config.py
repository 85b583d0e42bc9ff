"""Where Spark runs, and where the jobs are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self, cast

from pydantic import Field, PrivateAttr

from data_platform.errors import ConfigurationError
from data_platform.sources.environment import value_of
from data_platform.sources.given import Given, resolved, variables
from data_platform.sources.kind import Connection
from data_platform.yaml_fields import VARIABLE, FrozenDict

_LOCAL = re.compile(r"local(\[(\*|[1-9]\d{0,3})\])?")


class SparkConnection(Connection):
    """Spark, of this machine or elsewhere."""

    _root: Path = PrivateAttr(default=Path())

    remote_env: str = Field(
        pattern=VARIABLE,
        description="The variable that says where Spark runs: `local` or `local[4]` (this machine, with so many cores), or the"
        " address of a Spark Connect server, such as `sc://spark.example:15002`.",
    )
    folder: str = Field(
        default="spark",
        description="The folder of the jobs: `<table>.sql` or `<table>.py`. A relative path starts at the project's folder.",
    )
    environment: str = Field(
        default=".spark",
        description="The Python environment in which pyspark is installed. `make spark` makes it.",
    )
    conf: Given = Field(
        default_factory=FrozenDict,
        description="Settings of Spark for all jobs, such as `spark.sql.ansi.enabled: true`. A key that ends in `_env` names an"
        " environment variable: `spark.hadoop.fs.s3a.secret.key_env: SPARK_S3_SECRET`.",
    )
    timeout_seconds: float = Field(
        default=21_600, gt=0, le=604_800, description="How long a job may take before it is ended."
    )
    log: str | None = Field(
        default=None,
        description="A file to which all that Spark and the jobs print is added. Spark's messages may hold values of rows, so"
        " that by default nothing of it is kept.",
    )

    def under(self, root: Path) -> Self:
        copy = self.model_copy()
        copy._root = root
        return copy

    def at(self, path: str) -> Path:
        """A path of this connection."""
        return self._root / path

    def told(self, path: Path) -> str:
        """A path for people, from the project's folder."""
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)

    def remote(self, source: str, environ: Mapping[str, str]) -> str:
        """What ``remote_env`` says. ConfigurationError for what is no place of Spark."""
        where = value_of(source, self.remote_env, environ)
        if _LOCAL.fullmatch(where) is None and not where.startswith("sc://"):
            raise ConfigurationError(
                f"{source}: the environment variable {self.remote_env} holds no place of Spark: write local, local[4] or"
                " the address of a Spark Connect server, sc://host:15002."
            )
        return where

    def settings(self, source: str, environ: Mapping[str, str]) -> dict[str, str]:
        """``conf`` with the values of its variables, as Spark takes them."""
        given = resolved(self.conf, source, environ)
        return {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in given.items()
        }

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        return {"remote_env": True, **dict.fromkeys(self._given(), True)}

    def variable(self, key: str) -> str:
        return self.remote_env if key == "remote_env" else self._given()[key]

    def _given(self) -> dict[str, str]:
        return dict(variables(self.conf, "conf"))


def connection_of(connection: Connection) -> SparkConnection:
    """The connection of a source of this kind."""
    return cast(SparkConnection, connection)
