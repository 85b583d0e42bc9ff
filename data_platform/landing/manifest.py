"""A batch's manifest: what was read, from where, how to load it. Pure values and their JSON.

Reading and writing objects is ``ledger.py``'s; making part files is the source's; what a
redaction says is ``redaction.py``'s.
"""

from __future__ import annotations

import builtins
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from data_platform.errors import LedgerBroken
from data_platform.landing import grammar
from data_platform.landing import redaction as redactions
from data_platform.landing.part import Part as Part
from data_platform.landing.part import canonical
from data_platform.landing.redaction import Redaction
from data_platform.tables import (
    Column,
    Fingerprint,
    Identity,
    Load,
    Operation,
    Slice,
    Snapshot,
    TableId,
    Watermark,
)

FORMAT = 1
Kind = Literal["data", "checkpoint", "compact", "redact"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A slice's fingerprint at the source and the sequence of the batch that measured it."""

    fingerprint: Fingerprint
    sequence: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One batch of one table. Loading is a pure function of it and its parts.

    ``touched`` counts the batch's rows per slice. ``fingerprints`` are the
    source's own, measured in the batch's snapshot; ``measured_whole`` says that
    they cover every slice of the table, so that earlier ones no longer count.
    ``checkpoint`` repeats the folded fingerprints before this batch, so that
    reading the state never walks far back, and ``checkpoint_whole_at`` the sequence
    of the last whole measurement before it. ``key_enforced`` says that a unique
    index at the source held the key unique and not null in the snapshot, so that
    nobody need check it again. ``relation`` tells which relation was read (None in
    batches older than this field). ``redaction`` is what a batch of the kind ``redact``
    is there for (``redacting``), and ``redacted_before`` the sequence of the last such
    batch before this one, so that all of them are found without reading the chain.
    ``content`` is a digest of all rows of a batch that replaces the table, ``boundary`` one of the rows
    that the next read by cursor will find again: where they are read again as they were, nothing has to
    land (both None where they were not taken).
    ``previous`` is the digest of the manifest before, ``digest`` that of this one
    (all fields but itself), and ``signature`` is over the digest; empty where nothing is signed.
    """

    table: TableId
    sequence: int
    operation: Operation
    load: Load
    key: tuple[str, ...]
    partition: str | None
    timezone: str
    slices: tuple[Slice, ...]
    snapshot: Snapshot
    watermark_before: Watermark | None
    watermark_after: Watermark | None
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    rows: int
    touched: Mapping[Slice, int]
    fingerprints: Mapping[Slice, Fingerprint]
    measured_whole: bool
    committed_at: str
    nonce: str
    previous: str | None
    kind: Kind = "data"
    supersedes: tuple[int, ...] = ()
    checkpoint: Mapping[Slice, Measured] | None = None
    checkpoint_whole_at: int | None = None
    notes: tuple[str, ...] = ()
    key_enforced: bool = False
    relation: Identity | None = None
    redaction: Redaction | None = None
    redacted_before: int | None = None
    content: str | None = None
    boundary: str | None = None
    format: int = FORMAT
    digest: str = field(default="", compare=False)
    signature: str = field(default="", compare=False)

    @property
    def batch_id(self) -> str:
        return f"{self.sequence:08d}-{self.nonce[:8]}"

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def landed_at(self) -> datetime:
        """When what the table holds after this batch had landed: a redaction brings nothing new."""
        return datetime.fromisoformat(self.committed_at)

    @property
    def last_redaction(self) -> int | None:
        """The sequence of the newest redaction up to this batch."""
        return self.redacted_before if self.redaction is None else self.sequence

    def redacting(self, redaction: Redaction, nonce: str) -> Manifest:
        """The batch after this one that holds ``redaction`` and no rows.

        What the last read found is carried forward, its instant included: nobody looked at the
        source, so a table must not seem fresher. ``redaction.at`` is when it was done.
        """
        return replace(
            self,
            sequence=self.sequence + 1,
            kind="redact",
            operation="changes",
            load="merge",
            slices=(),
            watermark_before=self.watermark_after,
            parts=(),
            rows=0,
            touched={},
            fingerprints={},
            measured_whole=False,
            nonce=nonce,
            previous=self.digest,
            supersedes=tuple(sorted({part.sequence for part in redaction.parts})),
            checkpoint=None,
            checkpoint_whole_at=None,
            notes=(),
            redaction=redaction,
            redacted_before=self.last_redaction,
            content=None,
            boundary=None,
            digest="",
        )

    def sealed(self) -> Manifest:
        """This manifest with its digest filled in."""
        return replace(self, digest=_digest(_fields(self)), signature="")

    def to_json(self) -> builtins.bytes:
        if not self.digest:
            raise ValueError("a manifest is sealed before it is written")
        return canonical({**_fields(self), **_proofs(self.digest, self.signature)})

    @classmethod
    def from_json(cls, data: builtins.bytes, where: str) -> Manifest:
        """Parse and verify; ``LedgerBroken`` names ``where`` when it is cut short or altered."""
        try:
            raw = json.loads(data)
            digest, signature = raw.pop("digest"), raw.pop("signature", "")
            if not isinstance(signature, str):
                raise ValueError("its signature is none")
            manifest = _parse(raw, digest, signature)
            # The bytes, not only the values: JSON spells one value in several ways.
            whole = _digest(raw) == digest and canonical({**raw, **_proofs(digest, signature)}) == data
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # what a parser says may quote the manifest; a plain ValueError is the grammar's own sentence
            why = str(error) if type(error) is ValueError else type(error).__name__
            raise LedgerBroken(
                f"The manifest {where} cannot be read ({why}): it is cut short or"
                " was altered. Restore it from a copy of the landing store; the batches before it"
                " are untouched."
            ) from error
        if not whole:
            raise LedgerBroken(
                f"The manifest {where} does not match its own digest: it was altered after it was"
                " written. Restore it from a copy of the landing store."
            )
        return manifest


def _proofs(digest: str, signature: str) -> dict[str, str]:
    """A manifest that is not signed has no such field, as those from before there were signatures."""
    return {"digest": digest, "signature": signature} if signature else {"digest": digest}


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(fields)).hexdigest()


def _fields(m: Manifest) -> dict[str, Any]:
    def watermark(w: Watermark | None) -> dict[str, Any] | None:
        return None if w is None else {name: getattr(w, name) for name in Watermark.__slots__}

    def prints(p: Mapping[Slice, Fingerprint]) -> dict[str, list[int]]:
        return {s: [f.rows, f.checksum] for s, f in p.items()}

    return {
        "format": m.format,
        "kind": m.kind,
        "table": str(m.table),
        "sequence": m.sequence,
        "operation": m.operation,
        "load": m.load,
        "key": list(m.key),
        "partition": m.partition,
        "timezone": m.timezone,
        "slices": list(m.slices),
        "snapshot": {name: getattr(m.snapshot, name) for name in Snapshot.__slots__},
        "watermark_before": watermark(m.watermark_before),
        "watermark_after": watermark(m.watermark_after),
        "columns": [[c.name, c.type, c.source_type, c.nullable] for c in m.columns],
        "parts": [[p.key, p.rows, p.bytes, p.sha256] for p in m.parts],
        "rows": m.rows,
        "touched": dict(m.touched),
        "fingerprints": prints(m.fingerprints),
        "measured_whole": m.measured_whole,
        "committed_at": m.committed_at,
        "nonce": m.nonce,
        "previous": m.previous,
        "supersedes": list(m.supersedes),
        "checkpoint": None
        if m.checkpoint is None
        else {s: [c.fingerprint.rows, c.fingerprint.checksum, c.sequence] for s, c in m.checkpoint.items()},
        "checkpoint_whole_at": m.checkpoint_whole_at,
        "notes": list(m.notes),
        "key_enforced": m.key_enforced,
        "relation": None
        if m.relation is None
        else {name: getattr(m.relation, name) for name in Identity.__slots__},
        "redaction": None if m.redaction is None else redactions.to_fields(m.redaction),
        "redacted_before": m.redacted_before,
        "content": m.content,
        "boundary": m.boundary,
    }


def _parse(raw: Mapping[str, Any], digest: str, signature: str) -> Manifest:
    if raw["format"] != FORMAT:
        raise ValueError("a format this version does not know")
    if (raw["kind"] == "redact") != (raw["redaction"] is not None):
        raise ValueError("a redaction belongs to the kind redact, and to no other")
    grammar.check(raw, get_args(Kind))
    if not grammar.is_digest(digest):
        raise ValueError("its digest is none")

    def watermark(w: Mapping[str, Any] | None) -> Watermark | None:
        return None if w is None else Watermark(**w)

    return Manifest(
        format=raw["format"],
        kind=raw["kind"],
        table=TableId.parse(raw["table"]),
        sequence=raw["sequence"],
        operation=raw["operation"],
        load=raw["load"],
        key=tuple(raw["key"]),
        partition=raw["partition"],
        timezone=raw["timezone"],
        slices=tuple(Slice(s) for s in raw["slices"]),
        snapshot=Snapshot(**raw["snapshot"]),
        watermark_before=watermark(raw["watermark_before"]),
        watermark_after=watermark(raw["watermark_after"]),
        columns=tuple(Column(*c) for c in raw["columns"]),
        parts=tuple(Part(*p) for p in raw["parts"]),
        rows=raw["rows"],
        touched={Slice(s): n for s, n in raw["touched"].items()},
        fingerprints={Slice(s): Fingerprint(*f) for s, f in raw["fingerprints"].items()},
        measured_whole=raw["measured_whole"],
        committed_at=raw["committed_at"],
        nonce=raw["nonce"],
        previous=raw["previous"],
        supersedes=tuple(raw["supersedes"]),
        checkpoint=None
        if raw["checkpoint"] is None
        else {
            Slice(s): Measured(Fingerprint(rows, checksum), sequence)
            for s, (rows, checksum, sequence) in raw["checkpoint"].items()
        },
        checkpoint_whole_at=raw["checkpoint_whole_at"],
        notes=tuple(raw["notes"]),
        key_enforced=raw["key_enforced"],
        relation=None if raw.get("relation") is None else _identity(raw["relation"]),
        redaction=None if raw["redaction"] is None else redactions.from_fields(raw["redaction"]),
        redacted_before=raw["redacted_before"],
        content=raw.get("content"),
        boundary=raw.get("boundary"),
        digest=digest,
        signature=signature,
    )


def _identity(raw: Mapping[str, Any]) -> Identity:
    return Identity(
        raw["oid"],
        raw["storage"],
        tuple(raw["leaves"]),
        raw["columns"],
        {name: tuple(pieces) for name, pieces in raw["meanings"].items()},
    )
