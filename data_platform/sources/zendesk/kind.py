"""The kind ``zendesk``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.kind import Capabilities, Kind
from data_platform.sources.zendesk.config import ZendeskConnection
from data_platform.sources.zendesk.keys import ZendeskTableKeys

KIND = Kind(
    "zendesk",
    "Zendesk",
    ZendeskConnection,
    Capabilities(deletes="events", proof="none", slices=False, rejects=True, replays=True),
    reading="data_platform.sources.zendesk.feed:open_reading",
    looking="data_platform.sources.zendesk.feed:open_looking",
    discover="data_platform.sources.zendesk.discover:discover",
    look_every_seconds=600,
    table_keys=ZendeskTableKeys,
    rewrite="data_platform.sources.zendesk.rewrite:rewrite",
)
