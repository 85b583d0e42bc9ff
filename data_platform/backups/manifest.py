"""A backup's manifest: every table with its columns, rows and fingerprint, every object with its hash.

Pure values and their JSON. ``export.py`` makes the objects, ``archive.py`` keeps them.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from data_platform.backups.shelf import WAREHOUSE, Shelf
from data_platform.column_types import is_column_type
from data_platform.errors import BackupDamaged
from data_platform.landing import grammar
from data_platform.landing.grammar import is_digest, is_number
from data_platform.landing.signing import Signer
from data_platform.warehouses.archive import Inventory, StoredColumn, StoredTable

FORMAT = 1
_ID = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class BackupObject:
    """One object in the store, and what its bytes must be."""

    key: str
    bytes: int
    sha256: str
    rows: int = 0


@dataclass(frozen=True, slots=True)
class BackupTable:
    """``fingerprint`` is the sum of its rows' hashes modulo 2**64 by ``BackupManifest.engine``."""

    table: StoredTable
    rows: int
    fingerprint: int
    parts: tuple[BackupObject, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.table.schema}.{self.table.name}"


@dataclass(frozen=True, slots=True)
class BackupFile:
    """What is not the warehouse's and belongs to it: ``path`` is where it goes in the folder it is
    restored into (``instance/...``), as ``names.escaped`` writes it. ``plain_bytes`` is its size there;
    None in backups from before it was written down."""

    path: str
    object: BackupObject
    plain_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """How far a table (``source/table``) was landed when the backup was made."""

    table: str
    sequence: int
    digest: str


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """One backup. The manifest is written last: the backup exists only if its manifest exists.

    ``statements`` make what is no table, after the tables: indexes, views, comments.
    """

    id: str
    environment: str
    created_at: str
    engine: str
    schemas: tuple[str, ...]
    tables: tuple[BackupTable, ...]
    statements: tuple[str, ...]
    files: tuple[BackupFile, ...]
    ledger: tuple[LedgerHead, ...] = ()
    format: int = FORMAT
    digest: str = ""
    signature: str = ""

    @property
    def inventory(self) -> Inventory:
        """The content of the warehouse, in the form from which it is restored."""
        tables = tuple(table.table for table in self.tables)
        return Inventory(self.engine, self.schemas, tables, self.statements)

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        return sum(object_.bytes for object_ in self.objects())

    def objects(self) -> Iterator[BackupObject]:
        for table in self.tables:
            yield from table.parts
        yield from (file.object for file in self.files)

    def owner_of(self, key: str) -> str:
        """The table or file that the object ``key`` belongs to, for people."""
        for table in self.tables:
            if any(part.key == key for part in table.parts):
                return table.label
        return next((file.path for file in self.files if file.object.key == key), "nothing")

    def sealed(self) -> BackupManifest:
        """This manifest with its digest filled in."""
        return replace(self, digest=_digest(_fields(self)), signature="")

    def signed(self, signer: Signer) -> BackupManifest:
        """This manifest, sealed, with a signature over its digest; the same without a key."""
        return replace(self, signature=signer.sign("backup", self.digest))

    def to_json(self) -> builtins.bytes:
        if not self.digest:
            raise ValueError("a manifest is sealed before it is written")
        return _canonical({**_fields(self), **_proofs(self.digest, self.signature)})

    @classmethod
    def from_json(cls, data: builtins.bytes, where: str, shelf: Shelf = WAREHOUSE) -> BackupManifest:
        """Parse and verify; ``BackupDamaged`` names ``where`` when it is cut short, altered or of another ``shelf``."""
        try:
            raw = json.loads(data)
            digest, signature = raw.pop("digest"), raw.pop("signature", "")
            _must(isinstance(signature, str), "its signature is invalid")
            manifest = replace(_parse(raw, digest, shelf), signature=signature)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = str(error) if type(error) is ValueError else type(error).__name__
            raise BackupDamaged(
                f"The manifest {where} cannot be read ({why}): it is truncated or was altered."
                " Restore from another copy or another day: `data-platform backup list` shows what there is."
            ) from error
        if _digest(raw) != digest or _canonical({**raw, **_proofs(digest, signature)}) != data:
            raise BackupDamaged(
                f"The manifest {where} does not match its own digest: it was altered after it was written."
                " Restore from another copy or another day: `data-platform backup list` shows what there is."
            )
        return manifest


def backup_id(at: datetime, nonce: str) -> str:
    """Ids sort by time: ``20261122T023000.000000Z-1f2e3d4c``."""
    return f"{at.astimezone(UTC).strftime(_ID)}-{nonce[:8]}"


def next_id(now: datetime, nonce: str, last: str) -> str:
    """An id after ``last``, the newest there is (empty if there is none), though this machine's clock may have been set back: the
    newest backup is the last by its id."""
    return backup_id(max(now, made_at(last) + timedelta(milliseconds=1)) if last else now, nonce)


def clock_behind(now: datetime, last: str) -> str:
    """A remark where the clock was set back since the backup ``last``; empty otherwise."""
    if not last or now >= made_at(last):
        return ""
    return (
        f"this machine's clock ({now.isoformat(timespec='seconds')}) is behind the newest backup, {last}: set it. The id of this"
        " backup comes after that one's all the same"
    )


def made_at(id_: str) -> datetime:
    """When a backup was made, from its id; ValueError if it is not an id."""
    return datetime.strptime(id_.partition("-")[0], _ID).replace(tzinfo=UTC)


def is_id(text: str) -> bool:
    try:
        made_at(text)
    except ValueError:
        return False
    return True


def made_on(id_: str) -> str:
    """The UTC day of a backup, as 2026-11-22, from its id."""
    return made_at(id_).date().isoformat()


def _canonical(fields: Mapping[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_shallow)
    return text.encode()


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(fields)).hexdigest()


def _fields(manifest: BackupManifest) -> dict[str, Any]:
    return {name: value for name, value in _shallow(manifest).items() if name not in ("digest", "signature")}


def _shallow(part: Any) -> dict[str, Any]:
    """The fields of a dataclass as they are; what they hold is met by the encoder itself, which copies nothing."""
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


def _proofs(digest: str, signature: str) -> dict[str, str]:
    return {"digest": digest, "signature": signature} if signature else {"digest": digest}


def _parse(raw: Mapping[str, Any], digest: str, shelf: Shelf) -> BackupManifest:
    if raw["format"] != FORMAT:
        raise ValueError("a format this version does not know")
    _check(raw, shelf)
    tables = tuple(
        BackupTable(
            StoredTable(
                table["table"]["schema"],
                table["table"]["name"],
                table["table"]["create"],
                tuple(StoredColumn(**column) for column in table["table"]["columns"]),
            ),
            table["rows"],
            table["fingerprint"],
            tuple(BackupObject(**part) for part in table["parts"]),
        )
        for table in raw["tables"]
    )
    files = tuple(
        BackupFile(file["path"], BackupObject(**file["object"]), file.get("plain_bytes"))
        for file in raw["files"]
    )
    return BackupManifest(
        **{
            **raw,
            "schemas": tuple(raw["schemas"]),
            "tables": tables,
            "statements": tuple(raw["statements"]),
            "files": files,
            "ledger": tuple(LedgerHead(**head) for head in raw["ledger"]),
            "digest": digest,
        }
    )


def _check(raw: Mapping[str, Any], shelf: Shelf) -> None:
    """ValueError if a field is invalid. Its strings go into keys, paths and statements, and anybody who can write
    to the store can compute a new digest."""
    for name in ("id", "environment", "created_at", "engine"):
        _must(isinstance(raw[name], str), f"its {name} is not text")
    _must(is_id(raw["id"]) and re.fullmatch(r"[0-9A-Za-z.-]{1,64}", raw["id"]), "its id is invalid")
    for name in ("schemas", "statements", "tables", "files", "ledger"):
        _must(isinstance(raw[name], list), f"its {name} are not a list")
    for name in ("schemas", "statements"):
        _must(all(isinstance(text, str) for text in raw[name]), f"its {name} are no texts")
    objects = [file["object"] for file in raw["files"]]
    for table in raw["tables"]:
        objects += table["parts"]
        _must(
            is_number(table["rows"]) and is_number(table["fingerprint"], 0, 2**64),
            "its row count is not a number",
        )
        shape = table["table"]
        _must(
            all(isinstance(shape[name], str) for name in ("schema", "name", "create")), "a table is invalid"
        )
        for column in shape["columns"]:
            _must(
                isinstance(column["name"], str) and is_column_type(column["type"]),
                "a column's type is invalid",
            )
            _must(isinstance(column["as_text"], bool), "a column is invalid")
            _must(isinstance(column.get("held", ""), str), "a column is invalid")
    for file in raw["files"]:
        plain = file.get("plain_bytes")
        _must(isinstance(file["path"], str) and (plain is None or is_number(plain)), "a file is invalid")
    for object_ in objects:
        key = object_["key"]
        inside = isinstance(key, str) and key.startswith(shelf.key(raw["id"], ""))
        names = key.split("/") if inside else []
        _must(
            inside and not any(not n or n.startswith(".") or "\0" in n for n in names),
            "an object lies elsewhere",
        )
        _must(is_number(object_["bytes"]) and is_number(object_["rows"]), "an object has no size")
        _must(is_digest(object_["sha256"]), "an object has no digest")
    for head in raw["ledger"]:
        source, _, name = head["table"].partition("/")
        _must(grammar.NAME.fullmatch(source) and grammar.NAME.fullmatch(name), "a ledger's table is invalid")
        _must(
            is_number(head["sequence"]) and (head["digest"] == "" or is_digest(head["digest"])),
            "a head is invalid",
        )


def _must(holds: Any, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
