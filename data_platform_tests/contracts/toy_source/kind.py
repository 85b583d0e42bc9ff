"""The kind ``log``: files of JSON lines that are only added to, each with an offset, a row, and whether it is gone."""

from __future__ import annotations

from pydantic import Field

from data_platform.sources.kind import Capabilities, Connection, Kind


class LogConnection(Connection):
    folder: str = Field(description="Where the logs lie, a file a table.")
    step: int = Field(default=5, ge=1, description="Lines of one step of a read.")
    together: tuple[str, ...] = Field(
        default=(),
        description="Columns whose lines are replaced together; a step holds all lines of a group once.",
    )
    from_rows: bool = Field(default=False, description="Lines may have more columns than the log declares.")


KIND = Kind(
    "log",
    "a log",
    LogConnection,
    Capabilities(deletes="events", proof="none", slices=False),
    reading="data_platform_tests.contracts.toy_source.reading:open_reading",
    looking="data_platform_tests.contracts.toy_source.looking:open_looking",
    discover="data_platform_tests.contracts.toy_source.draft:draft",
    look_every_seconds=300,
)
