"""The kind ``postgres``, as the catalog knows it."""

from __future__ import annotations

from data_platform.sources.kind import Kind
from data_platform.sources.postgres.config import PostgresConnection, PostgresSourceKeys, PostgresTableKeys

KIND = Kind("postgres", "PostgreSQL", PostgresConnection, PostgresSourceKeys, PostgresTableKeys)
