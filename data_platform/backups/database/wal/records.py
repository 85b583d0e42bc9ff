"""What is written down of shipped WAL: a small signed record for each object, written after it.

Pure values and their JSON. Anybody who can write to a store can write a record with a correct digest, so a record's
fields are checked before they go into keys and files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from data_platform.backups.database.lsn import SEGMENT_BYTES, Lsn, Segment
from data_platform.backups.manifest import BackupObject
from data_platform.errors import BackupDamaged
from data_platform.landing.grammar import NAME, is_digest, is_instant, is_number, must
from data_platform.landing.part import canonical
from data_platform.landing.signing import Signer

FORMAT = 1
LONGEST = 1_000
SYSTEM = re.compile(r"[0-9]{1,20}")
"""A server's identifier."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """WAL up to ``lsn`` recovers everything that was committed until ``at`` (UTC, by the server's clock).

    ``row`` says whether a row of the table ``_data_platform.heartbeat`` holds ``at``; otherwise only the clock and the
    position were read, because the role may not write.
    """

    at: datetime
    lsn: Lsn
    row: bool

    def fields(self) -> dict[str, Any]:
        return {"at": self.at.isoformat(), "lsn": str(self.lsn), "row": self.row}

    @classmethod
    def of(cls, raw: Any) -> Heartbeat:
        must(is_instant(raw["at"]) and isinstance(raw["row"], bool), "its heartbeat is invalid")
        return cls(datetime.fromisoformat(raw["at"]), Lsn.parse(raw["lsn"]), raw["row"])


@dataclass(frozen=True, slots=True)
class WalRecord:
    """The bytes ``[start, start + plain_bytes)`` of ``segment`` are in ``object``, compressed.

    ``start`` is an offset within the segment. ``sha256`` is of the plain bytes, ``previous`` the digest of the record
    of the segment before, empty where there is none. ``mark`` is the newest position that was read from the server and that
    WAL up to ``end`` reaches: of ``heartbeat``, or of a later reading, which wrote no row. ``digest`` is known once the
    record is stored.
    """

    source: str
    system: str
    segment: Segment
    start: int
    plain_bytes: int
    sha256: str
    object: BackupObject
    heartbeat: Heartbeat | None
    shipped_at: datetime
    previous: str = ""
    digest: str = ""
    mark: Heartbeat | None = None

    @property
    def to(self) -> int:
        return self.start + self.plain_bytes

    @property
    def end(self) -> Lsn:
        return self.segment.start + self.to

    @property
    def whole(self) -> bool:
        return self.start == 0 and self.plain_bytes == self.segment.size

    def to_json(self, signer: Signer) -> bytes:
        return sealed(
            "wal",
            {
                "source": self.source,
                "system": self.system,
                "segment": self.segment.name,
                "segment_bytes": self.segment.size,
                "start": self.start,
                "plain_bytes": self.plain_bytes,
                "sha256": self.sha256,
                "object": {
                    "key": self.object.key,
                    "bytes": self.object.bytes,
                    "sha256": self.object.sha256,
                },
                "heartbeat": self.heartbeat.fields() if self.heartbeat else None,
                "shipped_at": self.shipped_at.isoformat(),
                "previous": self.previous,
                **({"mark": self.mark.fields()} if self.mark else {}),
            },
            signer,
        )

    @classmethod
    def from_json(cls, data: bytes, where: str, signer: Signer) -> WalRecord:
        """``BackupDamaged`` names ``where`` if it is truncated, altered or forged."""
        return opened("wal", data, where, signer, cls._of)

    @classmethod
    def _of(cls, raw: Mapping[str, Any]) -> WalRecord:
        size, start, plain = raw["segment_bytes"], raw["start"], raw["plain_bytes"]
        must(is_number(size) and size in SEGMENT_BYTES, "its segment's size is invalid")
        must(is_number(start, 0, size) and is_number(plain, 1, size - start + 1), "its range is invalid")
        must(NAME.fullmatch(raw["source"]) and SYSTEM.fullmatch(raw["system"]), "its source is invalid")
        object_ = raw["object"]
        must(is_digest(raw["sha256"]) and is_digest(object_["sha256"]), "a hash is invalid")
        must(isinstance(object_["key"], str) and is_number(object_["bytes"]), "its object is invalid")
        must(is_instant(raw["shipped_at"]), "its instant is invalid")
        must(raw["previous"] == "" or is_digest(raw["previous"]), "its `previous` is not a digest")
        return cls(
            raw["source"],
            raw["system"],
            Segment.parse(raw["segment"], size),
            start,
            plain,
            raw["sha256"],
            BackupObject(object_["key"], object_["bytes"], object_["sha256"]),
            None if raw["heartbeat"] is None else Heartbeat.of(raw["heartbeat"]),
            datetime.fromisoformat(raw["shipped_at"]),
            raw["previous"],
            raw["digest"],
            Heartbeat.of(raw["mark"]) if "mark" in raw else None,
        )


@dataclass(frozen=True, slots=True)
class Interruption:
    """From ``at`` on, WAL is missing behind ``lsn``: nothing can be recovered to a second between there and the end of
    the next full backup. ``why`` is a sentence."""

    at: datetime
    timeline: int
    lsn: Lsn
    why: str

    def to_json(self, place: str, signer: Signer) -> bytes:
        fields = {"timeline": self.timeline, "lsn": str(self.lsn), "why": self.why[:LONGEST], "place": place}
        return sealed("wal interruption", {"at": self.at.isoformat(), **fields}, signer)

    @classmethod
    def from_json(cls, data: bytes, where: str, place: str, signer: Signer) -> Interruption:
        def of(raw: Mapping[str, Any]) -> Interruption:
            must(is_instant(raw["at"]) and is_number(raw["timeline"], 1), "its place is invalid")
            must(isinstance(raw["why"], str) and raw["place"] == place, "it belongs elsewhere")
            return cls(datetime.fromisoformat(raw["at"]), raw["timeline"], Lsn.parse(raw["lsn"]), raw["why"])

        return opened("wal interruption", data, where, signer, of)


def history_to_json(content: str, place: str, signer: Signer) -> bytes:
    """A timeline's history file, for the key ``place``."""
    return sealed("wal history", {"place": place, "content": content}, signer)


def history_from_json(data: bytes, where: str, place: str, signer: Signer) -> str:
    def of(raw: Mapping[str, Any]) -> str:
        must(isinstance(raw["content"], str) and raw["place"] == place, "it belongs elsewhere")
        return str(raw["content"])

    return opened("wal history", data, where, signer, of)


def sealed(kind: str, fields: Mapping[str, Any], signer: Signer) -> bytes:
    """``fields`` as JSON with their digest, and a signature over it if there is a key."""
    signer.ready()
    whole = {**fields, "kind": kind, "format": FORMAT}
    digest = hashlib.sha256(canonical(whole)).hexdigest()
    signature = signer.sign(kind, digest)
    return canonical({**whole, "digest": digest, **({"signature": signature} if signature else {})})


def opened(kind: str, data: bytes, where: str, signer: Signer, of: Callable[[Mapping[str, Any]], T]) -> T:
    """What ``of`` makes of the fields that ``sealed`` wrote (with ``digest``). ``BackupDamaged`` names ``where``."""
    signer.ready()
    try:
        raw = json.loads(data)
        digest, signature = raw.pop("digest"), raw.pop("signature", "")
        must(raw["kind"] == kind and raw["format"] == FORMAT, "another kind or format of record")
        must(hashlib.sha256(canonical(raw)).hexdigest() == digest, "it does not match its own digest")
        must(isinstance(signature, str), "its signature is invalid")
        made = of({**raw, "digest": digest})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else type(error).__name__
        raise BackupDamaged(
            f"The record {where} cannot be read ({why}): it is truncated or was altered. Restore from another copy, or"
            " to an instant before it."
        ) from error
    if signer.signs and not signer.accepts(kind, digest, signature):
        how = f"is not signed with the key in {signer.variable}" if signature else "is not signed"
        raise BackupDamaged(
            f"The record {where} {how}: it was forged, or the key has changed. Set the right key"
            " (`previous_key_env` names the one before), restore from another copy, or to an instant before it."
        )
    return made
