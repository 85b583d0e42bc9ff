"""One backup of a database server: what it is, what it is built on, and what its objects must be. Pure.

Anybody who can write to a store can write a manifest with a correct digest, so its fields are checked before they go
into keys, files and command lines, and its signature before it is believed.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from data_platform.backups.database.lsn import SEGMENT_BYTES, Lsn
from data_platform.backups.database.wal.records import Heartbeat, opened, sealed
from data_platform.backups.manifest import BackupObject, is_id
from data_platform.landing.grammar import NAME, is_digest, is_instant, is_number, must
from data_platform.landing.signing import Signer

KIND = "database backup"
MANIFEST_OF_SERVER = "backup_manifest.zst"
"""The object that holds PostgreSQL's own manifest: the next incremental backup is made against it."""

_WHAT = re.compile(r"[a-z0-9_.-]{1,80}")
_SYSTEM = re.compile(r"[0-9]{1,20}")
_ENGINE = re.compile(r"[a-z_]{1,32}")
_OUTSIDE = re.compile(r"[0-9A-Z][0-9A-Z_T-]{0,79}")
_LEADS_OUT = re.compile(r"^/|(?:^|/)\.\.(?:/|$)")

Way = Literal["full", "incremental"]


@dataclass(frozen=True, slots=True)
class Outside:
    """A backup that another program keeps in a repository of its own, ``place``, where it is called ``id``. ``objects`` are
    those of it that were read back, by their keys there. ``beat`` is a heartbeat whose WAL was seen to be archived."""

    id: str
    place: str
    bytes: int
    segment_bytes: int
    objects: tuple[BackupObject, ...] = ()
    beat: Heartbeat | None = None

    def fields(self) -> dict[str, Any]:
        beat = self.beat.fields() if self.beat else None
        return {**asdict(self), "beat": beat, "objects": [asdict(one) for one in self.objects]}

    @classmethod
    def of(cls, raw: Any) -> Outside:
        must(
            isinstance(raw["id"], str) and _OUTSIDE.fullmatch(raw["id"]),
            "its id in the repository is invalid",
        )
        must(isinstance(raw["place"], str) and len(raw["place"]) <= 1024, "its repository is invalid")
        must(is_number(raw["bytes"]) and raw["segment_bytes"] in SEGMENT_BYTES, "a size is invalid")
        for one in raw["objects"]:
            must(
                isinstance(one["key"], str) and not _LEADS_OUT.search(one["key"]), "an object lies elsewhere"
            )
            must(is_number(one["bytes"]) and is_digest(one["sha256"]), "an object is invalid")
        beat = None if raw["beat"] is None else Heartbeat.of(raw["beat"])
        objects = tuple(BackupObject(**one) for one in raw["objects"])
        return cls(raw["id"], raw["place"], raw["bytes"], raw["segment_bytes"], objects, beat)


@dataclass(frozen=True, slots=True)
class DatabaseBackup:
    """``began_at`` and ``ended_at`` are by the server's clock. An incremental backup holds what changed since its
    ``parent``. ``start`` and ``end`` are the WAL that makes it consistent, on ``timeline``; a logical backup has neither
    and is of the one instant ``ended_at``. ``rows`` are those of each table (``database.schema.table``), where they were
    counted under the backup's own snapshot. ``plain_bytes`` are those before compression. Where ``outside`` is, the objects
    only say what the program said of its backup."""

    id: str
    source: str
    environment: str
    engine: str
    way: Way
    parent: str
    system: str
    version: int
    began_at: datetime
    ended_at: datetime
    objects: tuple[BackupObject, ...]
    plain_bytes: int
    database: str
    timeline: int = 0
    start: Lsn | None = None
    end: Lsn | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    outside: Outside | None = None

    @property
    def major(self) -> int:
        return self.version // 10_000

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.objects) + (self.outside.bytes if self.outside else 0)

    def object(self, what: str) -> BackupObject | None:
        return next((one for one in self.objects if one.key.rsplit("/", 1)[-1] == what), None)

    def to_json(self, signer: Signer) -> builtins.bytes:
        fields = {
            **{name: getattr(self, name) for name in _PLAIN},
            "began_at": self.began_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "start": str(self.start) if self.start is not None else None,
            "end": str(self.end) if self.end is not None else None,
            "objects": [asdict(one) for one in self.objects],
            "rows": dict(self.rows),
            "notes": list(self.notes),
            **({"outside": self.outside.fields()} if self.outside else {}),
        }
        return sealed(KIND, fields, signer)

    @classmethod
    def from_json(cls, data: builtins.bytes, where: str, signer: Signer) -> DatabaseBackup:
        """``BackupDamaged`` names ``where`` if it is truncated, altered or forged."""
        return opened(KIND, data, where, signer, _parsed)


_PLAIN = (
    *("id", "source", "environment", "engine", "way", "parent", "system", "version"),
    *("plain_bytes", "database", "timeline"),
)


def objects_of(source: str, id_: str) -> str:
    return f"database/{source}/objects/{id_}"


def is_safe_id(text: Any) -> bool:
    return isinstance(text, str) and is_id(text) and re.fullmatch(r"[0-9A-Za-z.-]{1,64}", text) is not None


def _parsed(raw: Mapping[str, Any]) -> DatabaseBackup:
    must(is_safe_id(raw["id"]), "its id is invalid")
    must(isinstance(raw["source"], str) and NAME.fullmatch(raw["source"]), "its source is invalid")
    for name in ("environment", "database"):
        must(isinstance(raw[name], str) and len(raw[name]) <= 255, f"its {name} is invalid")
    must(isinstance(raw["engine"], str) and _ENGINE.fullmatch(raw["engine"]), "its engine is invalid")
    must(raw["way"] in ("full", "incremental"), "its kind is unknown")
    must(
        is_safe_id(raw["parent"]) if raw["way"] == "incremental" else raw["parent"] == "",
        "its parent is invalid",
    )
    must(raw["parent"] < raw["id"], "its parent is not older than itself")
    must(isinstance(raw["system"], str) and _SYSTEM.fullmatch(raw["system"]), "its server is invalid")
    must(is_number(raw["version"], 90_000, 1_000_000), "its version is invalid")
    must(is_number(raw["timeline"], 0, 2**32) and is_number(raw["plain_bytes"]), "a number is invalid")
    must(is_instant(raw["began_at"]) and is_instant(raw["ended_at"]), "an instant is invalid")
    for one in raw["objects"]:
        head, _, what = one["key"].rpartition("/")
        must(head == objects_of(raw["source"], raw["id"]), "an object lies elsewhere")
        must(_WHAT.fullmatch(what) and not what.startswith("."), "an object's name is invalid")
        must(
            is_number(one["bytes"]) and is_number(one["rows"]) and is_digest(one["sha256"]),
            "an object is invalid",
        )
    must(
        raw["objects"] and len({one["key"] for one in raw["objects"]}) == len(raw["objects"]),
        "its objects are invalid",
    )
    must(all(isinstance(t, str) and is_number(n) for t, n in raw["rows"].items()), "its counts are invalid")
    must(all(isinstance(note, str) for note in raw["notes"]), "a note is not text")
    return DatabaseBackup(
        **{name: raw[name] for name in _PLAIN},
        began_at=datetime.fromisoformat(raw["began_at"]),
        ended_at=datetime.fromisoformat(raw["ended_at"]),
        start=None if raw["start"] is None else Lsn.parse(raw["start"]),
        end=None if raw["end"] is None else Lsn.parse(raw["end"]),
        objects=tuple(BackupObject(**one) for one in raw["objects"]),
        rows=dict(raw["rows"]),
        notes=tuple(raw["notes"]),
        outside=Outside.of(raw["outside"]) if raw.get("outside") else None,
    )
