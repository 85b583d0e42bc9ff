"""The backups in one store: adding objects that are proven there, listing, checking, removing.

Keys are those of a ``Shelf``: ``warehouse/objects/<id>/<what>`` and ``warehouse/manifests/<id>.json``. A
backup is there when its manifest is, and that is written last.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from data_platform.backups.manifest import BackupManifest, BackupObject, is_id, made_at, made_on
from data_platform.backups.shelf import WAREHOUSE, Shelf
from data_platform.errors import (
    BackupDamaged,
    BackupError,
    BackupMissing,
    LandingError,
    StoreRefused,
    StoreUnreachable,
)
from data_platform.landing import hint
from data_platform.landing.part import sha256_of
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores import Store

MANIFESTS, OBJECTS = WAREHOUSE.manifests, WAREHOUSE.objects
CANNOT_BE_ASKED = (StoreUnreachable, StoreRefused)
COVERED = "was hidden by somebody, and its locked version is still there: `data-platform backup uncover --yes` brings it back"


@dataclass
class Archive:
    """The backups of one ``shelf`` in a store. ``name`` is ``primary`` or the name of a copy. Objects are read through
    ``reader``, which wrote nothing: a store may answer from memory what it was just given, which would prove nothing."""

    name: str
    open: Callable[[], Store]
    signer: Signer = NOT_SIGNED
    shelf: Shelf = WAREHOUSE
    store: Store = field(init=False)
    reader: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store, self.reader = self.open(), self.open()

    def on(self, shelf: Shelf) -> Archive:
        """The backups of another class in the same store."""
        return replace(self, shelf=shelf)

    def add(self, path: Path, object_: BackupObject) -> None:
        """Put a copy of ``path`` and read it back. ``BackupDamaged`` when the store holds other bytes."""
        with self.store.scratch() as folder:
            copied = folder / "object"
            shutil.copyfile(path, copied)
            self.store.put_file(object_.key, copied, sha256=object_.sha256)
        self.check(object_, object_.key)

    def has(self, object_: BackupObject, *, deep: bool = True) -> bool:
        """Whether the object is there: ``deep`` by its SHA-256, else by its size. StoreUnreachable if that cannot be asked."""
        try:
            if self.reader.size(object_.key) != object_.bytes:
                return False
            if deep:
                self.check(object_, object_.key)
        except (KeyError, BackupDamaged):
            return False
        return True

    def check(self, object_: BackupObject, owner: str) -> None:
        """Read one object back and hash it. ``BackupDamaged`` names it and what it belongs to."""
        with self.fetched(object_, owner):
            pass

    @contextmanager
    def fetched(self, object_: BackupObject, owner: str) -> Iterator[Path]:
        """The object as a local file whose bytes are the manifest's. ``BackupDamaged`` otherwise."""
        try:
            with self.reader.local(object_.key) as path:
                size = path.stat().st_size
                if size != object_.bytes:
                    raise self._damaged(object_, owner, f"has {size:,} bytes instead of {object_.bytes:,}")
                if sha256_of(path) != object_.sha256:
                    raise self._damaged(
                        object_, owner, "does not match its SHA-256: it was replaced or altered"
                    )
                yield path
        except KeyError:
            raise self._damaged(object_, owner, self._missing(object_.key)) from None

    def commit(self, manifest: BackupManifest) -> None:
        """Write the sealed manifest and read it back. Only then does the backup exist."""
        key = self.shelf.manifest_key(manifest.id)
        data = manifest.to_json()
        if not self.store.put_new(key, data) and self.store.read(key) != data:
            raise BackupError(f"{self} already has another backup {manifest.id}. Run the backup again.")
        if self.reader.read(key) != data:
            raise BackupDamaged(
                f"{key} in {self} does not read back as it was written. Run the backup again."
            )

    def ids(self) -> list[str]:
        """Every backup's id, the oldest first."""
        names = (
            key.rsplit("/", 1)[-1].removesuffix(".json") for key in self.reader.list(self.shelf.manifests)
        )
        return [name for name in names if is_id(name)]

    def manifest(self, id_: str) -> BackupManifest:
        """The manifest of a backup. ``BackupMissing`` if there is none, ``BackupDamaged`` if it was altered or belongs
        to another backup."""
        key = self.shelf.manifest_key(id_)
        try:
            data = self.reader.read(key)
        except KeyError:
            if key in self.covered(self.shelf.manifests):
                raise BackupDamaged(f"{key} in {self} {COVERED}") from None
            raise BackupMissing(
                f"There is no backup {id_} in {self}. `data-platform backup list` shows them."
            ) from None
        manifest = BackupManifest.from_json(data, f"{key} in {self}", self.shelf)
        if manifest.id != id_:
            raise BackupDamaged(
                f"{key} in {self} is the manifest of the backup {manifest.id}: it was copied to the wrong place."
                " Restore from another copy or another day."
            )
        self._check_signature(manifest, key)
        return manifest

    def adopt(self, manifest: BackupManifest) -> None:
        """Accept an unsigned backup as if it were signed: one from before there was a key."""
        self.signer.ready()
        known = hint.read(self.reader, self.shelf.adopted, self.signer)
        hint.write(self.store, self.shelf.adopted, {**known, manifest.id: manifest.digest}, self.signer)

    def unsigned(self, which: str) -> BackupManifest:
        """Like ``chosen``, but without a check of its signature: to verify a backup before it is adopted."""
        return replace(self, signer=NOT_SIGNED).chosen(which)

    def _check_signature(self, manifest: BackupManifest, key: str) -> None:
        self.signer.ready()
        if not self.signer.signs or self.signer.accepts("backup", manifest.digest, manifest.signature):
            return
        if manifest.signature:
            raise BackupDamaged(
                f"{key} in {self} is not signed with the key in {self.signer.variable}: it was forged, or the key has"
                " changed. Set the right key (`previous_key_env` names the one before), or restore from another"
                " copy or another day."
            )
        if hint.read(self.reader, self.shelf.adopted, self.signer).get(manifest.id) != manifest.digest:
            raise BackupDamaged(
                f"{key} in {self} is not signed, although {self.signer.variable} is set: somebody else put it there, or"
                " it was made before there was a key. Restore from another copy or another day; or, if you are sure"
                f" that it is yours, accept it with `data-platform backup verify {manifest.id} --sign`."
            )

    def chosen(self, which: str) -> BackupManifest:
        """The backup ``latest``, the last one of a day (2026-11-22), or the one of an id."""
        ids = self.ids()
        if which == "latest":
            found = ids[-1:]
        elif which in ids:
            found = [which]
        else:
            day = _day(which)
            found = [id_ for id_ in ids if made_on(id_) == day][-1:]
        if not found:
            known = ", ".join(dict.fromkeys(made_on(id_) for id_ in ids[-10:]))
            raise BackupMissing(
                f"There is no backup {'' if which == 'latest' else f'of {which} '}in {self}."
                + (f" There are backups of {known}." if known else f" Make one with `{self.shelf.make}`.")
            )
        return self.manifest(found[0])

    def damage(self, manifest: BackupManifest, *, deep: bool, unreadable: Collection[str] = ()) -> list[str]:
        """A line for each damaged object of a backup. Only sizes are checked, unless ``deep`` reads and hashes; of the keys
        ``unreadable`` only sizes in either case. Where only sizes are, a store that cannot be asked is an error: what is not
        known to be damaged must not be taken for it."""
        problems = []
        for object_ in manifest.objects():
            owner = manifest.owner_of(object_.key)
            try:
                if deep and object_.key not in unreadable:
                    self.check(object_, owner)
                elif (size := self.reader.size(object_.key)) != object_.bytes:
                    raise self._damaged(object_, owner, f"has {size:,} bytes instead of {object_.bytes:,}")
            except KeyError:
                problems.append(str(self._damaged(object_, owner, self._missing(object_.key))))
            except (BackupDamaged, LandingError) as error:
                if not deep and isinstance(error, CANNOT_BE_ASKED):
                    raise
                problems.append(str(error))
        return problems

    def abandoned(self, before: datetime) -> list[str]:
        """Ids of earlier backups that have objects but no manifest: they were interrupted."""
        depth = self.shelf.objects.count("/") + 1
        there = {key.split("/")[depth] for key in self.reader.list(self.shelf.objects)} - set(self.ids())
        return sorted(id_ for id_ in there if is_id(id_) and made_at(id_) < before)

    def locked_until(self, id_: str) -> datetime | None:
        """Until when nobody can remove the backup, or what an interrupted one left; None if it may go."""
        if self.reader.locks is None:
            return None
        if (until := self.reader.locks.until(self.shelf.manifest_key(id_))) is not None:
            return until
        keys = self.reader.list(
            self.shelf.key(id_, "").rstrip("/")
        )  # the last one that was put is locked longest
        return max(filter(None, map(self.reader.locks.until, keys)), default=None)

    def locks_any(self, keys: Iterable[str]) -> bool:
        """Whether one of the objects ``keys``, of whatever class, is locked."""
        locks = self.reader.locks
        return locks is not None and any(locks.until(key) is not None for key in keys)

    def verified_at(self, id_: str) -> datetime:
        """When every object of the backup was last read and hashed: when it was made, or later."""
        known = hint.read(self.reader, self.shelf.verified, self.signer).get(id_)
        if known is not None:
            return datetime.fromisoformat(known)
        return self.reader.written_at(self.shelf.manifest_key(id_)) or made_at(id_)

    def remember_verified(self, id_: str, at: datetime) -> None:
        known = hint.read(self.reader, self.shelf.verified, self.signer)
        hint.write(self.store, self.shelf.verified, {**known, id_: at.isoformat()}, self.signer)

    def covered(self, folder: str = "") -> list[str]:
        """Locked objects that somebody hid: what covers them can be removed (``uncover``)."""
        return self.reader.locks.hidden(folder) if self.reader.locks else []

    def uncover(self, key: str) -> None:
        """Remove what covers the locked object ``key``."""
        if self.store.locks is not None:
            self.store.locks.unhide(key)

    def remove(self, id_: str) -> int:
        """Remove a backup, its manifest first, so that an interrupted removal leaves no usable backup. Returns the
        number of objects removed. ``ObjectLocked`` while it is locked; then nothing was removed."""
        self.store.delete(self.shelf.manifest_key(id_))
        keys = self.store.list(self.shelf.key(id_, "").rstrip("/"))
        for key in keys:
            self.store.delete(key)
        return len(keys)

    def __str__(self) -> str:
        return f"the backup store {self.name} ({self.store.url})"

    def _missing(self, key: str) -> str:
        return COVERED if key in self.covered(key.rpartition("/")[0]) else "is missing"

    def _damaged(self, object_: BackupObject, owner: str, what: str) -> BackupDamaged:
        return BackupDamaged(
            f"The object {object_.key} of {owner} in {self} {what}. Restore from another copy or another day, and"
            " make a new backup now."
        )


def object_key(id_: str, what: str) -> str:
    return WAREHOUSE.key(id_, what)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BackupMissing(
            f"{text!r} names no backup: write `latest`, a day such as 2026-11-22, or an id that"
            " `data-platform backup list` shows."
        ) from None
