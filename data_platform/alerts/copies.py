"""The incidents that a sensor keeps in its cursor alone, copied into the landing store for ``data-platform alerts list``.

Nothing is decided by a copy. If it is lost or old, only the list is.
"""

from __future__ import annotations

from functools import partial

from data_platform.alerts.book import FOLDER, within
from data_platform.alerts.state import BookState, from_cursor, to_cursor
from data_platform.landing import hint
from data_platform.landing.signing import Signer
from data_platform.stores import Store


def copy(store: Store, signer: Signer, name: str, cursor: str | None) -> bool:
    """Make the copy that of ``cursor``; whether it had to be written. ConfigurationError without a key that is needed; the
    store's errors, StoreUnreachable where it does not answer."""
    signer.ready()
    state = from_cursor(cursor)
    if within(partial(copied, store, signer, name)).incidents == state.incidents:
        return False
    within(lambda: hint.write(store, _key(name), {"state": to_cursor(state)}, signer))
    return True


def copied(store: Store, signer: Signer, name: str) -> BookState:
    """What was copied last; empty without a copy, or where another one than we wrote it."""
    return from_cursor(str(hint.read(store, _key(name), signer).get("state", "")))


def _key(name: str) -> str:
    return f"{FOLDER}/{name}.json"
