"""The kind ``dlt``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.dlt.config import DltConnection
from data_platform.sources.dlt.keys import DltTableKeys
from data_platform.sources.kind import Capabilities, Kind

KIND = Kind(
    "dlt",
    "dlt",
    DltConnection,
    Capabilities(deletes="refresh", proof="none", slices=False, rejects=True, replays=True),
    reading="data_platform.sources.dlt.feed:open_reading",
    looking="data_platform.sources.dlt.feed:open_looking",
    discover="data_platform.sources.dlt.discover:discover",
    look_every_seconds=600,
    table_keys=DltTableKeys,
)
