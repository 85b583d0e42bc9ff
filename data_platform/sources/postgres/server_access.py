"""Where the server behind a source is, for the programs that back it up."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.errors import ConfigurationError
from data_platform.sources.postgres.config import PostgresConnection
from data_platform.sources.postgres.connection import target
from data_platform.sources.server_access import ServerAccess


def server_access(
    connection: PostgresConnection, environ: Mapping[str, str], *, source: str, url_env: str | None
) -> ServerAccess:
    """The server of ``source`` by the URL in ``url_env``; without one by the source's own, never by its replica's.
    ConfigurationError, as for a sync, if the variable is missing or holds no URL."""
    from psycopg import conninfo

    variable = url_env or connection.url_env
    own = connection.model_copy(update={"url_env": variable, "replica_url_env": None})
    parameters = conninfo.conninfo_to_dict(target(own, environ, source=source).conninfo)
    parameters.pop("client_encoding", None)
    if "sslpassword" in parameters:
        raise ConfigurationError(
            f"The URL in {variable} of the source {source!r} has the parameter `sslpassword`, which a program could only be"
            " given where every user of this machine can read it. Use a client key without a passphrase."
        )
    return ServerAccess(source, variable, {name: str(value) for name, value in parameters.items()})
