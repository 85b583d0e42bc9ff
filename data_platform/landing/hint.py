"""A hint next to a table's manifests: a cache entry whose loss costs only the work of one check.

A hint is overwritten in place, so it must prove its own integrity: it contains a digest of its content and
its place, or a signature if manifests are signed. A damaged hint, or one copied from another table, is
ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from data_platform.landing.part import canonical
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores import Store


def write(store: Store, key: str, fields: Mapping[str, Any], signer: Signer = NOT_SIGNED) -> None:
    store.put_hint(key, sealed(key, fields, signer))


def read(store: Store, key: str, signer: Signer = NOT_SIGNED) -> dict[str, Any]:
    """The content that ``write`` stored; empty if the hint is missing or damaged."""
    try:
        data = store.read(key)
        fields = json.loads(data)
        del fields["seal"]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    # under any of the keys; without one, by its digest
    forms = [replace(signer, keys=(one,)) for one in signer.keys] or [signer]
    return fields if any(sealed(key, fields, form) == data for form in forms) else {}


def sealed(key: str, fields: Mapping[str, Any], signer: Signer = NOT_SIGNED) -> bytes:
    digest = hashlib.sha256(canonical({"key": key, "fields": dict(fields)})).hexdigest()
    return canonical({**fields, "seal": signer.sign("hint", digest) or digest})
