"""A batch's manifest: what was read, from where, how to load it. Pure values and their JSON.

``chain.py`` and ``ledger.py`` read and write the objects, the source makes part files, and ``redaction.py``
defines redactions.
"""

from __future__ import annotations

import builtins
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from data_platform import __version__
from data_platform.errors import LedgerBroken
from data_platform.landing import format_1, grammar
from data_platform.landing import redaction as redactions
from data_platform.landing import settled as settling
from data_platform.landing.part import Part as Part
from data_platform.landing.part import canonical
from data_platform.landing.redaction import Redaction
from data_platform.landing.settled import Settled
from data_platform.tables import (
    Column,
    Fingerprint,
    Json,
    Layout,
    Load,
    Operation,
    Position,
    Slice,
    Snapshot,
    TableId,
)

FORMAT = 2
"""The format that is written. Format 1 can still be read: see ``format_1.py``."""
WRITTEN_BY = f"data_platform {__version__}"
Kind = Literal["data", "checkpoint", "compact", "redact", "settle"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A slice's fingerprint at the source and the sequence of the batch that measured it."""

    fingerprint: Fingerprint
    sequence: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records in quarantine that nobody has taken up: ``rows`` of them, the newest in the batch ``sequence``."""

    sequence: int
    rows: int


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
    nobody need check it again. ``identity`` tells, in the source's own words, which table was read (None in
    batches older than this field). ``version`` and ``deleted`` name the landed columns that say which version
    of a row one is, and that it is a deleted row's (None where there is none). ``written_by`` is the version of
    the platform, empty in format 1. ``redaction`` is what a batch of the kind ``redact``
    is there for (``redacting``), and ``redacted_before`` the sequence of the last such
    batch before this one, so that all of them are found without reading the chain.
    ``replaces`` are columns whose rows are replaced together: a merge takes out every row that has the values of a
    row of the batch in them (empty: by key alone). ``quarantined`` is the object that holds the records which the
    batch could not take, ``quarantined_before`` tells of those before it that still wait. ``settled`` names records that wait
    no more since this batch, ``settled_before`` the last batch before it that named some of those that waited then.
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
    position_before: Position | None
    position_after: Position | None
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
    identity: Mapping[str, Json] | None = None
    version: str | None = None
    deleted: str | None = None
    redaction: Redaction | None = None
    redacted_before: int | None = None
    content: str | None = None
    boundary: str | None = None
    replaces: tuple[str, ...] = ()
    quarantined: Part | None = None
    quarantined_before: Waiting | None = None
    settled: Settled | None = None
    settled_before: int | None = None
    written_by: str = WRITTEN_BY
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
    def layout(self) -> Layout:
        return Layout(self.key, self.partition, self.timezone, self.version)

    @property
    def landed_at(self) -> datetime:
        """When what the table holds after this batch had landed: a redaction brings nothing new."""
        return datetime.fromisoformat(self.committed_at)

    @property
    def last_redaction(self) -> int | None:
        """The sequence of the newest redaction up to this batch."""
        return self.redacted_before if self.redaction is None else self.sequence

    @property
    def is_whole(self) -> bool:
        """Whether it takes the place of all that the table was."""
        return self.load == "replace" and self.kind == "data"

    @property
    def last_quarantined(self) -> Waiting | None:
        """The records up to this batch that wait in quarantine."""
        before, own = self.quarantined_before, self.quarantined
        rows = (before.rows if before else 0) + (own.rows if own else 0)
        rows -= self.settled.count if self.settled else 0
        if rows <= 0:
            return None
        return Waiting(self.sequence if own or not before else before.sequence, rows)

    @property
    def last_settled(self) -> int | None:
        """The sequence of the newest batch up to this one that settled some of what waited."""
        if self.last_quarantined is None:
            return None
        return self.settled_before if self.settled is None else self.sequence

    def redacting(
        self,
        redaction: Redaction,
        nonce: str,
        settled: Settled | None = None,
        touched: Mapping[Slice, int] | None = None,
    ) -> Manifest:
        """The batch after this one that holds ``redaction`` and no rows, and took those of ``touched`` out; records that it took out
        of quarantine are ``settled``."""
        made = self._without_rows("redact", nonce)
        taken_out = tuple(sorted({part.sequence for part in redaction.parts}))
        return replace(
            made,
            supersedes=taken_out,
            touched=dict(touched or {}),
            redaction=redaction,
            settled=settled,
            content=None,
            boundary=None,
        )

    def settling(self, settled: Settled, nonce: str) -> Manifest:
        """The batch after this one that says of records in quarantine that they wait no more, and holds no rows."""
        return replace(self._without_rows("settle", nonce), settled=settled, notes=(settled.why,))

    def _without_rows(self, kind: Kind, nonce: str) -> Manifest:
        """What the last read found is carried forward, its instant included: nobody looked at the
        source, so a table must not seem fresher. When it was done stands in the batch's own field."""
        return replace(
            self,
            sequence=self.sequence + 1,
            kind=kind,
            operation="changes",
            load="merge",
            slices=(),
            position_before=self.position_after,
            parts=(),
            rows=0,
            touched={},
            fingerprints={},
            measured_whole=False,
            nonce=nonce,
            previous=self.digest,
            supersedes=(),
            checkpoint=None,
            checkpoint_whole_at=None,
            notes=(),
            redaction=None,
            redacted_before=self.last_redaction,
            quarantined=None,
            quarantined_before=self.last_quarantined,
            settled=None,
            settled_before=self.last_settled,
            written_by=WRITTEN_BY,
            format=FORMAT,
            digest="",
        )

    def sealed(self) -> Manifest:
        """This manifest with its digest filled in."""
        return replace(self, digest=_digest(_fields(self)), signature="")

    def to_json(self) -> builtins.bytes:
        if not self.digest:
            raise ValueError("a manifest is sealed before it is written")
        if self.format != FORMAT:
            raise ValueError("a manifest of an earlier format stays as it was written")
        return canonical({**_fields(self), **_proofs(self.digest, self.signature)})

    @classmethod
    def from_json(cls, data: builtins.bytes, where: str) -> Manifest:
        """Parse and verify; ``LedgerBroken`` names ``where`` if the manifest is truncated or altered."""
        try:
            raw = json.loads(data)
            digest, signature = raw.pop("digest"), raw.pop("signature", "")
            if not isinstance(signature, str):
                raise ValueError("its signature is invalid")
            # The bytes, not only the values: JSON spells one value in several ways.
            whole = _digest(raw) == digest and canonical({**raw, **_proofs(digest, signature)}) == data
            if whole and grammar.is_number(raw["format"], FORMAT + 1):
                raise _later(raw, where)
            manifest = _parse(raw, digest, signature)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # what a parser says may quote the manifest; a plain ValueError is the grammar's own sentence
            why = str(error) if type(error) is ValueError else type(error).__name__
            raise LedgerBroken(
                f"The manifest {where} cannot be read ({why}): it is truncated or"
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
    return {**_always(m), **_where_set(m)}


def _where_set(m: Manifest) -> dict[str, Any]:
    """Fields that format 2 got later: a manifest without them keeps the bytes and the digest it has."""
    later = {
        "replaces": list(m.replaces),
        "quarantined": m.quarantined and _part_fields(m.quarantined),
        "quarantined_before": m.quarantined_before
        and [m.quarantined_before.sequence, m.quarantined_before.rows],
        "settled": m.settled and settling.to_fields(m.settled),
        "settled_before": m.settled_before,
    }
    return {name: value for name, value in later.items() if value}


def _part_fields(part: Part) -> list[Any]:
    return [part.key, part.rows, part.bytes, part.sha256]


def _always(m: Manifest) -> dict[str, Any]:
    def position(p: Position | None) -> dict[str, Any] | None:
        return None if p is None else {"system": p.system, "value": p.value, "text": p.text}

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
        "position_before": position(m.position_before),
        "position_after": position(m.position_after),
        "columns": [[c.name, c.type, c.source_type, c.nullable] for c in m.columns],
        "parts": [_part_fields(part) for part in m.parts],
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
        "identity": m.identity,
        "version": m.version,
        "deleted": m.deleted,
        "written_by": m.written_by,
        "redaction": None if m.redaction is None else redactions.to_fields(m.redaction),
        "redacted_before": m.redacted_before,
        "content": m.content,
        "boundary": m.boundary,
    }


def _parse(raw: Mapping[str, Any], digest: str, signature: str) -> Manifest:
    written = raw["format"]
    if written == 1:
        raw = format_1.to_format_2(raw)
    elif written != FORMAT:
        raise ValueError("its format is invalid")
    if (raw["kind"] == "redact") != (raw["redaction"] is not None):
        raise ValueError("a redaction belongs to the kind redact, and to no other")
    grammar.check(raw, get_args(Kind))
    if "settled" in raw:
        settling.check(raw["settled"], raw["sequence"])
    if not grammar.is_digest(digest):
        raise ValueError("its digest is invalid")

    def position(p: Mapping[str, Any] | None) -> Position | None:
        return None if p is None else Position(**p)

    return Manifest(
        format=written,
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
        position_before=position(raw["position_before"]),
        position_after=position(raw["position_after"]),
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
        identity=raw["identity"],
        version=raw["version"],
        deleted=raw["deleted"],
        written_by=raw["written_by"],
        redaction=None if raw["redaction"] is None else redactions.from_fields(raw["redaction"]),
        redacted_before=raw["redacted_before"],
        content=raw["content"],
        boundary=raw["boundary"],
        replaces=tuple(raw.get("replaces", ())),
        quarantined=Part(*raw["quarantined"]) if "quarantined" in raw else None,
        quarantined_before=Waiting(*raw["quarantined_before"]) if "quarantined_before" in raw else None,
        settled=settling.from_fields(raw["settled"]) if "settled" in raw else None,
        settled_before=raw.get("settled_before"),
        digest=digest,
        signature=signature,
    )


def _later(raw: Mapping[str, Any], where: str) -> LedgerBroken:
    """For a manifest that is whole, of a format that this version cannot know."""
    writer = raw.get("written_by")
    named = writer if isinstance(writer, str) and grammar.is_word(writer) else "a later version"
    return LedgerBroken(
        f"The manifest {where} is of format {raw['format']} and was written by {named}; this is {WRITTEN_BY}, which"
        f" reads formats 1 to {FORMAT}. Nothing is wrong with it: run this with the version that wrote it, or a later"
        " one."
    )
