"""Connecting to PostgreSQL: the connection string, its safe session settings, readable failures.

Every session is tagged, read-only and bounded. Nothing here knows a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_platform.errors import ConfigurationError, SourceError, SourceUnreachable
from data_platform.sources.postgres.config import PostgresConnection

if TYPE_CHECKING:
    import psycopg

APPLICATION_NAME = "data_platform"
"""Tags our sessions, so that the clock path can leave them out of the activity it reads."""

_SESSION = {
    # text forms must not depend on the server's settings
    "timezone": "UTC",
    "datestyle": "ISO,YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # a policy that would hide rows is an error, never fewer rows
    "row_security": "off",
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "0",
}


def connection_string(config: PostgresConnection, environ: Mapping[str, str], *, source: str) -> str:
    """The libpq string of ``source``, the replica's when one is declared and set.

    Raises ConfigurationError when the environment variable is missing or is no
    PostgreSQL URL; the message names the variable, never its value.
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
    from psycopg import conninfo

    try:
        given = conninfo.conninfo_to_dict(url)
    except Exception:
        raise ConfigurationError(
            f"The environment variable {variable} of the source {source!r} is not a PostgreSQL URL."
            " Write it as postgresql://user:password@host:5432/database."
        ) from None
    options = dict(_SESSION)
    options["statement_timeout"] = f"{config.statement_timeout_seconds * 1000}"
    options["lock_timeout"] = f"{config.lock_timeout_seconds * 1000}"
    settings: dict[str, Any] = {
        "connect_timeout": config.connect_timeout_seconds,
        **({} if "sslmode" in given else {"sslmode": config.sslmode}),
        "application_name": APPLICATION_NAME,
        "client_encoding": "utf8",
        "options": " ".join(
            filter(None, [str(given.pop("options", "") or ""), *(f"-c {k}={v}" for k, v in options.items())])
        ),
    }
    given.pop("application_name", None)
    return conninfo.make_conninfo(**{**settings, **{k: v for k, v in given.items() if v is not None}})


def connect(conninfo: str, *, source: str) -> psycopg.Connection[Any]:
    """An autocommit connection; SourceUnreachable when there is none."""
    import psycopg

    try:
        return psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise SourceUnreachable(
            f"The database of the source {source!r} cannot be reached: {redact(str(error), conninfo)}."
            " Check that it is up, that the URL in the environment is right and that this machine may connect."
        ) from None


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
