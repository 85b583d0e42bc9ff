"""The ends of many chains, read together: what a look at thousands of tables would else wait for, one request after
another. A store in a bucket answers many requests at once; one on this machine gains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from data_platform.errors import DataPlatformError
from data_platform.landing.keys import manifest_key, manifest_sequence, manifests_of
from data_platform.landing.manifest import Manifest
from data_platform.landing.state import CHECKPOINT_EVERY
from data_platform.stores import Store
from data_platform.tables import TableId

T = TypeVar("T")
TABLES_AT_ONCE = 256
"""So many tables are read ahead of their use: their manifests are held meanwhile."""


@dataclass(frozen=True, slots=True)
class Ends:
    """``last`` is the sequence of each chain's newest manifest, ``objects`` are manifests by key. What is in neither
    is asked for when it is needed, and fails there if it must."""

    last: dict[TableId, int] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)


def read_ends(store: Store, tables: Sequence[TableId], *, states: bool) -> Ends:
    """The newest manifest of each of ``tables`` in two rounds of requests; with ``states`` in three, and those before
    it that a state is folded from."""
    ends = Ends()
    if store.requests_at_once < 2 or len(tables) < 2:
        return ends
    listed = _together(store, [partial(last_of, store, table) for table in tables])
    ends.last.update({table: last for table, last in zip(tables, listed, strict=True) if last is not None})
    _read(store, ends, (manifest_key(table, last) for table, last in ends.last.items() if last))
    if states:
        _read(store, ends, (key for table in ends.last for key in _before(ends, table)))
    return ends


def last_of(store: Store, table: TableId) -> int:
    """The sequence of the newest manifest; 0 before the first."""
    keys = store.list(manifests_of(table), limit=1)
    return manifest_sequence(table, keys[0]) if keys else 0


def _before(ends: Ends, table: TableId) -> list[str]:
    """The keys back to the last checkpoint, where the newest manifest does not say all itself."""
    last = ends.last[table]
    data = ends.objects.get(manifest_key(table, last))
    try:
        newest = Manifest.from_json(data, "") if data else None
    except DataPlatformError:
        return []
    if newest is None or newest.measured_whole or newest.checkpoint is not None:
        return []
    first = max(1, last // CHECKPOINT_EVERY * CHECKPOINT_EVERY)
    return [manifest_key(table, sequence) for sequence in range(last - 1, first - 1, -1)]


def _read(store: Store, ends: Ends, keys: Iterable[str]) -> None:
    wanted = list(keys)
    found = _together(store, [partial(store.read, key) for key in wanted])
    ends.objects.update({key: data for key, data in zip(wanted, found, strict=True) if data is not None})


def _together(store: Store, calls: Sequence[Callable[[], T]]) -> list[T | None]:
    """None where a request failed: whoever needs its answer asks again, and gets the error."""

    def quietly(call: Callable[[], T]) -> T | None:
        try:
            return call()
        except (DataPlatformError, KeyError):
            return None

    return store.together([partial(quietly, call) for call in calls])
