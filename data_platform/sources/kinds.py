"""Every kind of source a catalog file may name, and the model of its ``connection``: one line a kind."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.sources.postgres.config import PostgresConnection

SourceConnection = PostgresConnection  # join the next kind with `|`

CONNECTIONS: Mapping[str, type[SourceConnection]] = {
    "postgres": PostgresConnection,
}
