"""The kind ``stripe``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.kind import Capabilities, Kind
from data_platform.sources.stripe.config import StripeConnection
from data_platform.sources.stripe.keys import StripeTableKeys

KIND = Kind(
    "stripe",
    "Stripe",
    StripeConnection,
    Capabilities(deletes="events", proof="none", slices=False, rejects=True, replays=True),
    reading="data_platform.sources.stripe.feed:open_reading",
    looking="data_platform.sources.stripe.looking:open_looking",
    table_keys=StripeTableKeys,
    look_every_seconds=30,
    rewrite="data_platform.sources.stripe.rewrite:rewrite",
    hook="data_platform.sources.stripe.deliveries:hook",
)
