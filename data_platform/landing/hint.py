"""A hint beside a table's manifests: something worth knowing whose loss costs a look and nothing else.

It is overwritten in place, so nothing but the hint itself can tell that it is whole: it carries a
digest of what it says and of where it lies, and a signature instead where manifests are signed. A damaged
hint, or one copied from another table, is ignored.
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
    """What ``write`` put there; empty when there is none or it is not what was written."""
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
