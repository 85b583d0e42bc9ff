"""The kind ``webhook``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.kind import Capabilities, Kind
from data_platform.sources.webhook.config import WebhookConnection
from data_platform.sources.webhook.keys import WebhookTableKeys

KIND = Kind(
    "webhook",
    "Webhooks",
    WebhookConnection,
    Capabilities(deletes="events", proof="none", slices=False, rejects=True, replays=True),
    reading="data_platform.sources.webhook.reading:open_reading",
    looking="data_platform.sources.webhook.looking:open_looking",
    look_every_seconds=30,
    table_keys=WebhookTableKeys,
    rewrite="data_platform.sources.webhook.rewrite:rewrite",
    hook="data_platform.sources.webhook.config:hook",
)
