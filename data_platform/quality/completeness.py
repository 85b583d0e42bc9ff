"""Completeness: compares the row counts and version sums of the warehouse with those of the source. Pure.

The sync counts the source, the warehouse counts itself. If both agree, every row is present
in the same version. Wrongly converted values are found by comparing whole rows, in a
seventh of the slices each day (``due``).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from data_platform.landing.manifest import Measured
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.tables import NULL_SLICE, WHOLE_TABLE, Fingerprint, Slice, Snapshot, TableId, Tally, is_day

EMPTY = Fingerprint(0, 0)
NO_ROWS = Tally(0, 0)
ROTATION_DAYS = 7
"""Each whole row is compared once in this number of days."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A slice that differs: the source held ``expected``, the warehouse holds ``actual``."""

    slice: Slice
    expected: Fingerprint | Tally
    actual: Fingerprint | Tally

    def __str__(self) -> str:
        if self.expected.rows == self.actual.rows:
            return (
                f"{self.slice}: {self.actual.rows:,} rows on both sides, but not the same keys and versions"
            )
        return (
            f"{self.slice}: {self.actual.rows:,} rows in the warehouse, {self.expected.rows:,} at the source"
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """The basis of a comparison: the source's counts (``tallies``) in one snapshot, compared with the
    warehouse after it had loaded the ledger up to batch ``sequence``, whose digest is ``head``."""

    table: TableId
    snapshot: Snapshot
    sequence: int
    head: str
    tallies: Mapping[Slice, Tally]
    signer: Signer = NOT_SIGNED

    @property
    def rows(self) -> int:
        return sum(tally.rows for tally in self.tallies.values())


@dataclass(frozen=True, slots=True)
class Audit:
    """The whole rows of ``slices`` were compared, and the ``differing`` slices were reread. Each of these maps
    to its number of rows with the source's version but different values: 0 if only the source had
    changed since."""

    slices: tuple[Slice, ...] = ()
    differing: Mapping[Slice, int] = field(default_factory=dict)

    @property
    def rows_altered(self) -> int:
        return sum(self.differing.values())


@dataclass(frozen=True, slots=True)
class CompletenessReport:
    """``matching`` counts slices. ``unmeasured`` slices were loaded after the source was last counted
    there, or were never counted: the report says nothing about them. ``mended`` slices differed
    and were reread."""

    matching: int
    differing: tuple[Difference, ...]
    unmeasured: tuple[Slice, ...]
    mended: tuple[Difference, ...] = ()
    audit: Audit = Audit()
    evidence: Evidence | None = None

    @property
    def passed(self) -> bool:
        return not self.differing

    @property
    def differing_slices(self) -> tuple[Slice, ...]:
        return tuple(difference.slice for difference in self.differing)

    def record(self) -> dict[str, Any] | None:
        """The comparison as one JSON object: both sides and the result.

        ``seal`` is the SHA-256 of the other fields. They include the digest of the ledger's head, which covers every
        earlier batch. The seal proves that the record is intact. ``signature``, an HMAC of the seal, proves that this
        platform made it (null without a key). Returns None if nothing was compared with a snapshot.
        """
        if self.evidence is None:
            return None
        evidence = self.evidence
        listed = sorted((slice_, t.rows, t.versions) for slice_, t in evidence.tallies.items())
        record: dict[str, Any] = {
            "table": str(evidence.table),
            "snapshot": evidence.snapshot.text,
            "taken_at": evidence.snapshot.taken_at,
            "system": evidence.snapshot.system,
            "ledger_sequence": evidence.sequence,
            "ledger_digest": evidence.head,
            "rows": evidence.rows,
            "slices": len(listed),
            "tallies_sha256": hashlib.sha256(_canonical(listed)).hexdigest(),
            "passed": self.passed,
            "differing": [str(difference) for difference in self.differing],
            "mended": [str(difference) for difference in self.mended],
            "slices_audited": sorted(self.audit.slices),
            "rows_altered": self.audit.rows_altered,
        }
        digest = seal(record)
        return {**record, "seal": digest, "signature": evidence.signer.sign("evidence", digest) or None}


def seal(record: Mapping[str, Any]) -> str:
    """The seal of a record. Anybody who has the record can recompute it."""
    return hashlib.sha256(
        _canonical({k: v for k, v in record.items() if k not in ("seal", "signature")})
    ).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def compare_tallies(evidence: Evidence, actual: Mapping[Slice, Tally]) -> CompletenessReport:
    """Compare every slice of the source with the same slice of the warehouse, and the reverse."""
    slices = sorted(evidence.tallies.keys() | actual.keys())
    differing = tuple(
        Difference(s, evidence.tallies.get(s, NO_ROWS), actual.get(s, NO_ROWS))
        for s in slices
        if evidence.tallies.get(s, NO_ROWS) != actual.get(s, NO_ROWS)
    )
    return CompletenessReport(len(slices) - len(differing), differing, (), evidence=evidence)


def due(table: TableId, slices: Iterable[Slice], day: date) -> tuple[Slice, ...]:
    """The slices whose whole rows are compared on ``day``: each slice on one day of seven."""
    turn = day.toordinal() % ROTATION_DAYS
    return tuple(s for s in readable(slices) if zlib.crc32(f"{table}/{s}".encode()) % ROTATION_DAYS == turn)


def readable(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    """Those whose rows a source can be asked for, in order."""
    return tuple(sorted(s for s in slices if is_day(s) or s in (NULL_SLICE, WHOLE_TABLE)))


def compare(
    measured: Mapping[Slice, Measured],
    actual: Mapping[Slice, Fingerprint],
    changed_since: Mapping[Slice, int],
    measured_whole_at: int | None = None,
) -> CompletenessReport:
    """Compare every slice that can still be compared.

    ``changed_since`` maps slices to the last load that touched them. If that load is later
    than the slice's count, the count is outdated. ``measured_whole_at`` is the sequence of the
    last count of all slices: a slice that it does not mention was empty at the source then.
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
