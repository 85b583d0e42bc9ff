"""What a catalog file may say of a PostgreSQL source and its tables. Connecting is ``connection.py``'s."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field

from data_platform.sources.kind import (
    CommonKeys,
    Connection,
    HasSettings,
    KindSettings,
    SourceKeys,
    TableKeys,
)
from data_platform.yaml_fields import VARIABLE, ColumnName, Frozen, FrozenDict


class PostgresConnection(Connection):
    """How a PostgreSQL database, 13 to 18, is reached. URLs are secrets: only the names of the
    environment variables that hold them stand here."""

    url_env: str = Field(
        pattern=VARIABLE,
        description="Environment variable that holds the database's URL"
        " (postgresql://user:password@host:5432/database), read when it is used.",
    )
    replica_url_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
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

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        if self.replica_url_env is None:
            return {"url_env": True}
        if environ.get(self.replica_url_env):  # the replica is read, and nobody asks for the primary's URL
            return {"replica_url_env": False}
        return {"url_env": True, "replica_url_env": False}


def split_relation(text: str, default_schema: str) -> tuple[str, str]:
    """``schema.name`` or ``name`` -> (schema, name); double quotes keep a dot inside a name.

    ValueError when it has more parts, or an empty one.
    """
    parts: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            end = rest.find('"', 1)
            while end != -1 and rest[end : end + 2] == '""':
                end = rest.find('"', end + 2)
            part, rest = (rest[1:end].replace('""', '"'), rest[end + 1 :]) if end > 0 else ("", "")
        else:
            part, dot, tail = rest.partition(".")
            rest = dot + tail
        parts.append(part)
        if not rest.startswith("."):
            break
        rest = rest[1:]
    if rest or len(parts) > 2 or not all(parts):
        raise ValueError(
            "must be `schema.name` or `name`; a name that contains a dot must be in double quotes:"
            " 'public.\"daily.orders\"'"
        )
    return (default_schema, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def _relation(text: str | None) -> str | None:
    if text is not None:
        split_relation(text, "")
    return text


class PostgresSourceKeys(SourceKeys):
    schema_: str = Field(
        default="public",
        min_length=1,
        alias="schema",
        description="The schema its tables are in unless they say otherwise (`relation`).",
    )


@dataclass(frozen=True, slots=True)
class PostgresTable(KindSettings):
    """``relation`` is (schema, name) in the database, ``cursor_clock`` whose clock sets the cursor."""

    relation: tuple[str, str] = ("", "")
    cursor_clock: str = "application"


def connection_of(connection: Connection) -> PostgresConnection:
    """The connection of a source of this kind."""
    return cast(PostgresConnection, connection)


def settings_of(table: HasSettings) -> PostgresTable:
    """The settings of a table of this kind."""
    return cast(PostgresTable, table.settings)


class PostgresTableKeys(TableKeys):
    relation: Annotated[ColumnName | None, AfterValidator(_relation)] = Field(
        default=None,
        max_length=127,
        description="The table or view in the source, as `schema.name` or `name`, spelled exactly as there;"
        " a name that contains a dot must be in double quotes. Default: the name of the block.",
    )
    cursor_clock: Literal["database", "application"] = Field(
        default="application",
        description="Who sets the cursor. `database` (a trigger that sets it on every update) lets a sync read"
        " by the cursor's index; with `application` it scans for changed row versions instead.",
    )
    as_: Annotated[Mapping[ColumnName, Literal["text"]], Frozen] = Field(
        default_factory=FrozenDict,
        alias="as",
        description="Columns to land as text, the source's own text form of their values: for types that"
        " cannot be kept exactly otherwise.",
    )

    def named_columns(self) -> Mapping[str, Collection[str]]:
        return {"as": self.as_}

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if "cursor_clock" in written and common.cursor is None:
            yield (
                ("cursor_clock",),
                "says who sets the cursor, but there is no `cursor`; name the column or omit this key",
            )
        for column in common.times:
            if column in self.as_:
                yield (
                    ("as", column),
                    "lands as text, but a time is needed: it is the column of `partition`, or of a check of times such as `newest_data`",
                )

    def name_at_source(self, name: str) -> str:
        return split_relation(self.relation, "")[1] if self.relation else name

    def settings(self, name: str, source: PostgresSourceKeys, blocks: Mapping[str, Any]) -> PostgresTable:
        relation = split_relation(self.relation, source.schema_) if self.relation else (source.schema_, name)
        return PostgresTable(".".join(relation), tuple(self.as_), relation, self.cursor_clock, in_sql=True)
