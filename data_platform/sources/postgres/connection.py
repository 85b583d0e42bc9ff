"""Connecting to PostgreSQL: what a URL leads to, and why it leads nowhere.

The settings of a session are made in its transactions (``settings.py``), not when connecting: some
poolers drop what is asked for then. Nothing here knows a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_platform.errors import ConfigurationError, SourceUnreachable
from data_platform.sources.postgres.config import PostgresConnection
from data_platform.sources.postgres.settings import Settings
from data_platform.sources.postgres.unreachable import cause
from data_platform.sources.postgres.urls import WrongURL, parameters

if TYPE_CHECKING:
    import psycopg

_STRICTNESS = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


_KEEPALIVES = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6}
"""The session that holds the snapshot says nothing while readers read. Load balancers and firewalls forget such a
connection after some minutes, and a system's own keepalives begin after two hours."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where ``source`` is read. ``conninfo`` is libpq's string, a secret; ``variable`` names where it is from."""

    source: str
    variable: str
    conninfo: str = field(repr=False)
    statement_timeout_seconds: int = 3600
    lock_timeout_seconds: int = 30

    def settings(self, version: int) -> Settings:
        return Settings.of(
            version,
            source=self.source,
            statement_timeout_seconds=self.statement_timeout_seconds,
        )


def target(config: PostgresConnection, environ: Mapping[str, str], *, source: str) -> Target:
    """Where ``source`` is read: its replica, when one is declared and set.

    Raises ConfigurationError when the environment variable is missing or holds no
    PostgreSQL URL; the message names the variable, never a piece of its value.
    """
    variable = config.url_env
    if config.replica_url_env and environ.get(config.replica_url_env):
        variable = config.replica_url_env
    url = environ.get(variable, "").strip()
    if not url:
        raise ConfigurationError(
            f"The environment variable {variable} is not set; the source {source!r} is read from the"
            f" database it names. Set it, for example in .env: {variable}=postgresql://user:password@host:5432/db"
            " (for the sandbox, run `data-platform sandbox up`)."
        )
    try:
        given = parameters(url)
    except WrongURL as wrong:
        raise ConfigurationError(
            f"The environment variable {variable} of the source {source!r} is not a PostgreSQL URL: {wrong}."
        ) from None
    from psycopg import conninfo

    given.pop("application_name", None)
    settings: dict[str, Any] = {
        "connect_timeout": config.connect_timeout_seconds,
        "client_encoding": "utf8",
        **_KEEPALIVES,
        **given,
        "sslmode": _sslmode(config, given.get("sslmode")),
    }
    return Target(
        source,
        variable,
        conninfo.make_conninfo(**settings),
        config.statement_timeout_seconds,
        config.lock_timeout_seconds,
    )


def _sslmode(config: PostgresConnection, in_url: str | None) -> str:
    """The URL's, unless the catalog asks for more: what is reviewed there must not be undone by a URL that a
    host hands out."""
    if in_url is None:
        return config.sslmode
    if "sslmode" not in config.model_fields_set or in_url not in _STRICTNESS:
        return in_url
    return max(in_url, config.sslmode, key=_STRICTNESS.index)


def connect(target: Target) -> psycopg.Connection[Any]:
    """An autocommit connection; SourceUnreachable when there is none."""
    import psycopg

    try:
        # without named statements, which stay with a server connection that a pooler gives to the next client
        return psycopg.connect(target.conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise unreachable(target, error) from None


def unreachable(target: Target, error: Exception | str) -> SourceUnreachable:
    """For an attempt to connect, by psycopg or by DuckDB, that failed."""
    return SourceUnreachable(
        f"The database of the source {target.source!r} cannot be reached: {cause(str(error))}."
        f" The URL is in {target.variable}."
    )
