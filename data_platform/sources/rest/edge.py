"""The records at the end of a read, which the next read finds again, so that a sync with nothing new lands nothing.

Only keyed digests of them are kept (BLAKE2b, 8 bytes), and only up to ``EDGE_MAX``: without them such records land once
more, which changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from data_platform.sources.rest.cursor import Value, before, greater

EDGE_MAX = 500


class Edge:
    """``known`` are the digests of the read before. ``key`` is a secret of the source, such as its token."""

    def __init__(self, known: Sequence[str], key: bytes, lag: float) -> None:
        self.known = tuple(known)
        self._set, self._lag = frozenset(known), lag
        self._key = hashlib.sha256(key).digest()
        self._found: dict[str, Value] = {}
        self._full = False

    def new(self, records: Sequence[bytes]) -> Sequence[bytes]:
        """The ``records`` that the read before did not find in the same bytes."""
        if not self._set:
            return records
        return [record for record in records if self._digest(record) not in self._set]

    def take(self, records: Sequence[bytes], values: Sequence[Value | None], greatest: Value) -> None:
        """Note what of a page the next read would find again, if ``greatest`` stays the greatest value."""
        if self._full or (start := self._start(greatest)) is None:
            return
        later: dict[Value, bool] = {}
        for record, value in zip(records, values, strict=True):
            if value is None:
                continue
            if value not in later:
                later[value] = greater(value, start) == value
            if later[value]:
                self._found[self._digest(record)] = value
        if len(self._found) > 4 * EDGE_MAX:
            self._found = self._from(start)
            self._full = len(self._found) > 4 * EDGE_MAX

    def kept(self, greatest: Value | None) -> list[str]:
        """The digests to keep, none where they would be too many."""
        start = None if greatest is None or self._full else self._start(greatest)
        found = [] if start is None else sorted(self._from(start))
        return found if len(found) <= EDGE_MAX else []

    def _from(self, start: Value) -> dict[str, Value]:
        return {digest: value for digest, value in self._found.items() if greater(value, start) == value}

    def _start(self, greatest: Value) -> Value | None:
        try:
            return before(greatest, self._lag)
        except ValueError:
            return None

    def _digest(self, record: bytes) -> str:
        return hashlib.blake2b(record, digest_size=8, key=self._key).hexdigest()
