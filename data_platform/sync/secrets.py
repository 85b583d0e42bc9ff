"""The secrets that a restore needs and no backup holds, of which a backup keeps a probe."""

from __future__ import annotations

from data_platform.errors import DataPlatformError
from data_platform.landing.redaction import redaction_key
from data_platform.sync.platform import Platform

HASH, REDACTION = "hash key", "redaction key"


def secrets_of(platform: Platform) -> dict[str, bytes]:
    """By name, those that are set and valid."""
    found = {}
    for name, read in ((HASH, platform.hash_key), (REDACTION, lambda: redaction_key(platform.environ))):
        try:
            found[name] = read()
        except DataPlatformError:
            continue
    return found
