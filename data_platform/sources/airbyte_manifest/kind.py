"""The kind ``airbyte_manifest``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.airbyte_manifest.config import AirbyteConnection
from data_platform.sources.airbyte_manifest.keys import AirbyteTableKeys
from data_platform.sources.kind import Capabilities, Kind

KIND = Kind(
    "airbyte_manifest",
    "an Airbyte manifest",
    AirbyteConnection,
    Capabilities(deletes="refresh", proof="none", slices=False, rejects=True, replays=True),
    reading="data_platform.sources.airbyte_manifest.feed:open_reading",
    looking="data_platform.sources.airbyte_manifest.feed:open_looking",
    discover="data_platform.sources.airbyte_manifest.discover:discover",
    look_every_seconds=600,
    table_keys=AirbyteTableKeys,
)
