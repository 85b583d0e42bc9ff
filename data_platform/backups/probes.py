"""Tells after a disaster whether a secret is the one that backups were made under, without keeping anything of it.

Beside its backups an archive keeps an HMAC of a fixed text under each such secret. Secrets are long and random, so it
gives away nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from data_platform.backups.archive import Archive
from data_platform.landing import hint

KEY = "keys/probes.json"
_TEXT = b"data-platform: is this the key that these backups were made under?"


def probe(secret: bytes) -> str:
    return hmac.new(secret, _TEXT, hashlib.sha256).hexdigest()


def remember(archive: Archive, secrets: Mapping[str, bytes]) -> None:
    """Keep a probe of each of ``secrets`` (by name) that has none yet. One that is there stays: a secret that was
    replaced by mistake must not look right."""
    known = hint.read(archive.reader, KEY, archive.signer)
    made = {name: probe(secret) for name, secret in secrets.items() if secret and name not in known}
    if made:
        hint.write(archive.store, KEY, {**known, **made}, archive.signer)


def matches(archive: Archive, name: str, secret: bytes) -> bool | None:
    """Whether ``secret`` is the one that the archive was made under; None where that is not known."""
    known = hint.read(archive.reader, KEY, archive.signer).get(name)
    return None if known is None else hmac.compare_digest(str(known), probe(secret))
