"""A hint beside a table's manifests: something worth knowing whose loss costs a look and nothing else.

It is overwritten in place, so nothing but the hint itself can tell that it is whole: it carries a
seal, a digest of what it says and of where it lies. One that is damaged, or another table's, is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from data_platform.landing.part import canonical
from data_platform.stores import Store


def write(store: Store, key: str, fields: Mapping[str, Any]) -> None:
    store.put_hint(key, sealed(key, fields))


def read(store: Store, key: str) -> dict[str, Any]:
    """What ``write`` put there; empty when there is none or it is not what was written."""
    try:
        data = store.read(key)
        fields = json.loads(data)
        del fields["seal"]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return fields if sealed(key, fields) == data else {}


def sealed(key: str, fields: Mapping[str, Any]) -> bytes:
    seal = hashlib.sha256(canonical({"key": key, "fields": dict(fields)})).hexdigest()
    return canonical({**fields, "seal": seal})
