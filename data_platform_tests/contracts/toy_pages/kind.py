"""The kind ``pages``: files of records that are only added to, in pages of a few lines."""

from __future__ import annotations

from pydantic import Field

from data_platform.sources.kind import Capabilities, Connection, Kind
from data_platform.sources.records.keys import RecordTableKeys


class PagesConnection(Connection):
    folder: str = Field(description="Where the files lie, one a stream.")
    page: int = Field(default=3, ge=1, description="Lines of a page.")


KIND = Kind(
    "pages",
    "a pile of pages",
    PagesConnection,
    Capabilities(deletes="events", proof="none", slices=False, rejects=True, replays=True),
    reading="data_platform_tests.contracts.toy_pages.feed:open_reading",
    looking="data_platform_tests.contracts.toy_pages.feed:open_looking",
    table_keys=RecordTableKeys,
)
