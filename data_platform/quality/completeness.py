"""Is everything there? The warehouse's fingerprints against those the source had. Pure.

Measuring the source is the sync's, measuring the warehouse the warehouse's. What
agrees is present at the same version; a value that was converted wrongly is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data_platform.landing.manifest import Measured
from data_platform.tables import Fingerprint, Slice

EMPTY = Fingerprint(0, 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """A slice where the source held ``expected`` and the warehouse holds ``actual``."""

    slice: Slice
    expected: Fingerprint
    actual: Fingerprint

    def __str__(self) -> str:
        if self.expected.rows == self.actual.rows:
            return (
                f"{self.slice}: {self.actual.rows:,} rows on both sides, but not the same keys and versions"
            )
        return (
            f"{self.slice}: {self.actual.rows:,} rows in the warehouse, {self.expected.rows:,} at the source"
        )


@dataclass(frozen=True, slots=True)
class CompletenessReport:
    """``matching`` counts slices. ``unmeasured`` are those that were loaded into since the source
    was last measured there, or that it never was: about them nothing is said."""

    matching: int
    differing: tuple[Difference, ...]
    unmeasured: tuple[Slice, ...]

    @property
    def passed(self) -> bool:
        return not self.differing

    @property
    def differing_slices(self) -> tuple[Slice, ...]:
        return tuple(difference.slice for difference in self.differing)


def compare(
    measured: Mapping[Slice, Measured],
    actual: Mapping[Slice, Fingerprint],
    changed_since: Mapping[Slice, int],
    measured_whole_at: int | None = None,
) -> CompletenessReport:
    """Compare, slice by slice, what still can be.

    ``changed_since`` is the sequence of the last load that touched a slice: a later one
    than the slice's measurement makes that one stale. ``measured_whole_at`` is the
    sequence of the last measurement of every slice: one that it did not mention was
    empty at the source then.
    """
    matching = 0
    differing: list[Difference] = []
    unmeasured: list[Slice] = []
    for slice_ in sorted(measured.keys() | actual.keys()):
        if slice_ in measured:
            expected, sequence = measured[slice_].fingerprint, measured[slice_].sequence
        elif measured_whole_at is not None:
            expected, sequence = EMPTY, measured_whole_at
        else:
            unmeasured.append(slice_)
            continue
        held = actual.get(slice_, EMPTY)
        if changed_since.get(slice_, 0) > sequence:
            unmeasured.append(slice_)
        elif held == expected:
            matching += 1
        else:
            differing.append(Difference(slice_, expected, held))
    return CompletenessReport(matching, tuple(differing), tuple(unmeasured))
