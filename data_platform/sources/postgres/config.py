"""What a catalog file may say under ``connection`` of a PostgreSQL source. Connecting is ``connection.py``'s."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class PostgresConnection(BaseModel):
    """How a PostgreSQL database, 13 to 18, is reached. URLs are secrets: only the names of the
    environment variables that hold them stand here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url_env: str = Field(
        pattern=_VARIABLE,
        description="Environment variable that holds the database's URL"
        " (postgresql://user:password@host:5432/database), read when it is used.",
    )
    replica_url_env: str | None = Field(
        default=None,
        pattern=_VARIABLE,
        description="Environment variable that holds the URL of a streaming replica. Where it is set,"
        " the replica is read instead of the primary.",
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer",
        description="How far the connection is encrypted and the server verified, as in libpq. A URL that"
        " says it too may ask for more, not for less.",
    )
    connect_timeout_seconds: int = Field(
        default=10, ge=1, le=600, description="How long to wait for a connection."
    )
    statement_timeout_seconds: int = Field(
        default=3600, ge=1, le=604_800, description="The server ends a statement that runs longer."
    )
    lock_timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="How long to try for the ACCESS SHARE locks that keep a TRUNCATE out of a read, for all tables"
        " together; nothing is held meanwhile.",
    )
    connections: int = Field(
        default=2,
        ge=1,
        le=32,
        description="How many connections may read side by side, and tables with them.",
    )
