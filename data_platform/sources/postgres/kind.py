"""The kind ``postgres``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.kind import Capabilities, Kind
from data_platform.sources.postgres.config import PostgresConnection, PostgresSourceKeys, PostgresTableKeys

KIND = Kind(
    "postgres",
    "PostgreSQL",
    PostgresConnection,
    Capabilities(deletes="slices", proof="counted", slices=True),
    reading="data_platform.sources.postgres.reading:open_reading",
    looking="data_platform.sources.postgres.looking:open_looking",
    discover="data_platform.sources.postgres.discover:discover_in",
    source_keys=PostgresSourceKeys,
    table_keys=PostgresTableKeys,
    server="data_platform.sources.postgres.server_access:server_access",
    answers="data_platform.sources.postgres.answering:ANSWERS",
)
