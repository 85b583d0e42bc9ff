"""The kind ``rest``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.kind import Capabilities, Kind
from data_platform.sources.rest.config import RestConnection
from data_platform.sources.rest.keys import RestSourceKeys, RestTableKeys

KIND = Kind(
    "rest",
    "a REST API",
    RestConnection,
    Capabilities(deletes="refresh", proof="none", slices=False, rejects=True, replays=True),
    reading="data_platform.sources.rest.feed:open_reading",
    looking="data_platform.sources.rest.feed:open_looking",
    discover="data_platform.sources.rest.discover:discover",
    source_keys=RestSourceKeys,
    table_keys=RestTableKeys,
    rewrite="data_platform.sources.rest.rewrite:rewrite",
)
