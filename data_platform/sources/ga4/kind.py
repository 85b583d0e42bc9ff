"""The kind ``ga4``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.ga4.config import Ga4Connection, Ga4SourceKeys
from data_platform.sources.ga4.keys import CAN, Ga4TableKeys
from data_platform.sources.kind import Kind

KIND = Kind(
    "ga4",
    "Google Analytics 4",
    Ga4Connection,
    CAN,
    reading="data_platform.sources.ga4.feed:open_reading",
    looking="data_platform.sources.ga4.feed:open_looking",
    look_every_seconds=3600,
    source_keys=Ga4SourceKeys,
    table_keys=Ga4TableKeys,
)
