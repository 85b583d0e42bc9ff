"""The state that results from a chain of manifests: how far its table has landed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from data_platform.landing.manifest import Manifest, Measured
from data_platform.tables import Column, Position, Slice

CHECKPOINT_EVERY = 8
"""Every so many sequences a manifest repeats the folded state, so that reading it takes at most
that many objects, one after the other: a few milliseconds from a disk, a quarter of a second from
an object store. Half as many requests would cost twice the bytes for a table of many days."""


@dataclass(frozen=True, slots=True)
class TableState:
    """How far a table has been landed. All empty before its first batch.

    ``measured`` is the fingerprint of each slice that no batch touched since it was taken,
    with the sequence of the batch that measured it; ``measured_whole_at`` the sequence of the last batch that
    measured every slice, so that one it did not mention was empty then.
    """

    head: Manifest | None = None
    position: Position | None = None
    columns: tuple[Column, ...] = ()
    measured: Mapping[Slice, Measured] = field(default_factory=dict)
    measured_whole_at: int | None = None

    @property
    def next_sequence(self) -> int:
        return 1 if self.head is None else self.head.sequence + 1

    @property
    def digest(self) -> str | None:
        """The value of ``previous`` in the next manifest."""
        return None if self.head is None else self.head.digest


def fold(newest_first: Iterable[Manifest]) -> tuple[dict[Slice, Measured], int | None]:
    """The fingerprint of each slice that still holds and the sequence of the last whole
    measurement (``TableState``). Reads no further back than it must."""
    measured: dict[Slice, Measured] = {}
    touched: set[Slice] = set()

    def take(slice_: Slice, known: Measured) -> None:
        if slice_ not in touched:
            measured.setdefault(slice_, known)

    for manifest in newest_first:
        for slice_, fingerprint in manifest.fingerprints.items():
            take(slice_, Measured(fingerprint, manifest.sequence))
        if manifest.measured_whole:
            return measured, manifest.sequence
        if manifest.checkpoint is not None:
            touched.update(manifest.touched)
            for slice_, earlier in manifest.checkpoint.items():
                take(slice_, earlier)
            return measured, manifest.checkpoint_whole_at
        touched.update(manifest.touched)
    return measured, None
