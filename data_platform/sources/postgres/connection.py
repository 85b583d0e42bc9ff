"""Connecting to PostgreSQL: what a URL leads to, and why it leads nowhere.

The settings of a session are made in its transactions (``settings.py``), not when connecting: some
poolers drop what is asked for then. Nothing here knows a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_platform.errors import ConfigurationError, SourceError, SourceUnreachable
from data_platform.sources.postgres.config import PostgresConnection
from data_platform.sources.postgres.settings import Settings
from data_platform.sources.postgres.unreachable import cause
from data_platform.sources.postgres.urls import WrongURL, parameters

if TYPE_CHECKING:
    import psycopg

_STRICTNESS = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


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
            lock_timeout_seconds=self.lock_timeout_seconds,
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


def redact(message: str, conninfo: str) -> str:
    """``message`` on one line without the password or the connection string."""
    from psycopg import conninfo as parser

    password = parser.conninfo_to_dict(conninfo).get("password")
    text = message.replace(conninfo, "[connection]")
    if password:
        text = text.replace(str(password), "[password]")
    text = re.sub(r"(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", r"\1[password]", text)
    text = re.sub(r"(postgres(?:ql)?://[^:/@\s]+):[^@\s]+@", r"\1:[password]@", text)
    return " ".join(text.split()).rstrip(".")


IN_THE_WAY_OF_REPLAY = (
    "the standby ended the read, for which the replay of a TRUNCATE, an ALTER or a vacuum had waited as long as"
    " max_standby_streaming_delay allows. Nothing was committed; run the sync again. Where it keeps happening,"
    " raise that setting on the standby."
)


def in_the_way_of_replay(error: Exception) -> bool:
    return "conflict with recovery" in str(error)


def source_error(error: Exception, conninfo: str, *, what: str) -> SourceError:
    """A readable error for a failed statement; the kind says whether to try again."""
    import psycopg

    sqlstate = getattr(error, "sqlstate", None)
    text = _without_detail(redact(str(error), conninfo))
    lost = isinstance(error, psycopg.OperationalError) and (sqlstate is None or sqlstate[:2] in ("08", "57"))
    if sqlstate == "57014":
        return SourceUnreachable(
            f"{what} took longer than statement_timeout_seconds allows and was cancelled."
            " Raise the limit in the source's `connection:` or read from a replica (replica_url_env)."
        )
    if in_the_way_of_replay(error):
        return SourceUnreachable(f"{what}: {IN_THE_WAY_OF_REPLAY}")
    if sqlstate == "55P03":
        return SourceUnreachable(
            f"{what} waited longer than lock_timeout_seconds for a lock that another session holds"
            " (a migration, a TRUNCATE?). It will be read at the next sync."
        )
    if sqlstate == "42501":
        return SourceError(
            f"{what} is not permitted: {text}. GRANT SELECT on it (and USAGE on its schema) to the sync's user;"
            " under row-level security the user also needs BYPASSRLS, or rows would be missing silently."
        )
    if lost:
        return SourceUnreachable(f"{what} failed, the connection was lost: {text}. Run the sync again.")
    return SourceError(f"{what} failed: {text}.")


def _without_detail(text: str) -> str:
    """PostgreSQL's DETAIL and CONTEXT lines may quote values of a row."""
    return re.split(r"\s(?:DETAIL|CONTEXT|HINT):", text, maxsplit=1)[0]
