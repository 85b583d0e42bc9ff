"""One source's database backups in one store: adding, reading, checking, removing.

Keys: ``database/<source>/objects/<id>/<what>`` and ``database/<source>/manifests/<id>.json``. A backup is there when its
manifest is, and that is written last. An incremental one is usable only with all that it is built on: its chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from data_platform.backups.archive import CANNOT_BE_ASKED, Archive
from data_platform.backups.database.external import External
from data_platform.backups.database.manifest import DatabaseBackup, is_safe_id, objects_of
from data_platform.backups.manifest import BackupObject, made_at
from data_platform.errors import BackupDamaged, BackupError, BackupMissing, DataPlatformError, LandingError


@dataclass(frozen=True)
class Repository:
    archive: Archive
    source: str
    external: External | None = None
    """The repository of the program that backs the source up, if it keeps one of its own."""

    def ids(self) -> list[str]:
        """Every backup's id, the oldest first."""
        keys = self.archive.reader.list(self._manifests)
        names = (key.rsplit("/", 1)[-1].removesuffix(".json") for key in keys)
        return sorted(name for name in names if is_safe_id(name))

    def backup(self, id_: str) -> DatabaseBackup:
        """``BackupMissing`` if there is none, ``BackupDamaged`` if its manifest was altered or is another backup's."""
        key = self.manifest_key(id_)
        try:
            data = self.archive.reader.read(key)
        except KeyError:
            raise BackupMissing(
                f"There is no backup {id_} of the database {self.source} in {self.archive}."
            ) from None
        found = DatabaseBackup.from_json(data, f"{key} in {self.archive}", self.archive.signer)
        if (found.id, found.source) != (id_, self.source):
            raise BackupDamaged(
                f"{key} in {self.archive} is the manifest of the backup {found.id} of {found.source}: it was copied to the"
                " wrong place. Restore from another copy, or from an older backup."
            )
        return found

    def chain(self, backup: DatabaseBackup) -> tuple[DatabaseBackup, ...]:
        """``backup`` with all that it is built on, the full one first. ``BackupDamaged`` names a link that is missing or
        of another server."""
        links = [backup]
        while links[0].way == "incremental":
            child = links[0]
            try:
                parent = self.backup(child.parent)
            except BackupMissing:
                raise BackupDamaged(
                    f"The backup {child.id} of the database {self.source} in {self.archive} is built on {child.parent}, which"
                    " is missing. Restore from another copy, or from an older backup, and make a full one now."
                ) from None
            if (parent.system, parent.timeline, parent.engine) != (
                child.system,
                child.timeline,
                child.engine,
            ):
                raise BackupDamaged(
                    f"The backup {child.id} of the database {self.source} in {self.archive} is built on {parent.id}, which is"
                    " of another server or timeline. Make a full backup now."
                )
            links.insert(0, parent)
        return tuple(links)

    def commit(self, backup: DatabaseBackup) -> None:
        """Write the signed manifest and read it back. Only then does the backup exist."""
        key, data = self.manifest_key(backup.id), backup.to_json(self.archive.signer)
        if not self.archive.store.put_new(key, data) and self.archive.store.read(key) != data:
            raise BackupError(f"{self.archive} already has another backup {backup.id}. Run the backup again.")
        if self.archive.reader.read(key) != data:
            raise BackupDamaged(
                f"{key} in {self.archive} does not read back as it was written. Run the backup again."
            )

    @contextmanager
    def fetched(self, backup: DatabaseBackup, object_: BackupObject) -> Iterator[Path]:
        """The object as a local file, proven by its SHA-256; ``BackupDamaged`` names it otherwise."""
        with self.archive.fetched(object_, self.owner(backup)) as path:
            yield path

    def owner(self, backup: DatabaseBackup) -> str:
        return f"the backup {backup.id} of the database {self.source}"

    def damage(self, backup: DatabaseBackup, *, deep: bool) -> list[str]:
        """A line for each damaged object of this backup alone; without ``external``, of what this archive holds of it. Only sizes are checked, unless ``deep`` reads and
        hashes; where only sizes are, a store that cannot be asked is an error."""
        problems = []
        if backup.outside is not None and self.external is not None:
            problems += self.program(backup).problems(backup.outside, deep=deep)
        for one in backup.objects:
            try:
                if deep:
                    self.archive.check(one, self.owner(backup))
                    continue
                size = self.archive.reader.size(one.key)
                if size != one.bytes:
                    problems.append(
                        f"The object {one.key} of {self.owner(backup)} in {self.archive} has {size:,} bytes instead of"
                        f" {one.bytes:,}."
                    )
            except KeyError:
                problems.append(f"The object {one.key} of {self.owner(backup)} in {self.archive} is missing.")
            except (BackupDamaged, LandingError) as error:
                if not deep and isinstance(error, CANNOT_BE_ASKED):
                    raise
                problems.append(str(error))
        return problems

    def program(self, backup: DatabaseBackup) -> External:
        """The program that made ``backup``, by its repository. BackupError if the source's block names another one."""
        place = backup.outside.place if backup.outside else ""
        if self.external is None or not self.reaches(backup):
            named = f"names {self.external.place}" if self.external else "names none"
            raise BackupError(
                f"{self.owner(backup)[:1].upper()}{self.owner(backup)[1:]} is in the repository {place} of {backup.engine}, and"
                f" `backups.database` of the source {named}. Name that repository there to use this backup."
            )
        return self.external

    def reaches(self, backup: DatabaseBackup) -> bool:
        """Whether the source's block names the repository in which another program keeps ``backup``."""
        outside = backup.outside
        return bool(self.external and outside and self.external.place == outside.place)

    def is_good(self, id_: str) -> bool:
        """Whether the backup and its whole chain are there, by their sizes. LandingError if the store cannot be asked."""
        try:
            return not any(self.damage(link, deep=False) for link in self.chain(self.backup(id_)))
        except BackupError:
            return False

    def readable(self) -> list[DatabaseBackup]:
        """Those whose manifest can be read, the oldest first."""
        found = []
        for id_ in self.ids():
            try:
                found.append(self.backup(id_))
            except BackupError:
                continue
        return found

    def newest_good(self) -> DatabaseBackup | None:
        return next((self.backup(id_) for id_ in reversed(self.ids()) if self.is_good(id_)), None)

    def abandoned(self, before: datetime) -> list[str]:
        """Ids of earlier backups that have objects but no manifest: they were interrupted."""
        prefix = f"database/{self.source}/objects"
        there = {key.split("/")[3] for key in self.archive.reader.list(prefix)} - set(self.ids())
        return sorted(id_ for id_ in there if is_safe_id(id_) and made_at(id_) < before)

    def unlocked(self, ids: Sequence[str]) -> list[str]:
        """Those of ``ids`` that may be removed: neither locked themselves, nor what a locked one is built on."""
        held: set[str] = set()
        for id_ in ids if self.archive.reader.locks is not None else ():
            keys = [self.manifest_key(id_), *self.archive.reader.list(objects_of(self.source, id_))]
            if self.archive.locks_any(keys):
                held.add(id_)
                with suppress(BackupError):
                    held |= {link.id for link in self.chain(self.backup(id_))}
        return [id_ for id_ in ids if id_ not in held]

    def remove(self, id_: str) -> int:
        """Remove a backup, its manifest first, so that an interrupted removal leaves no usable backup. Returns the
        number of objects removed. What another program keeps goes before that: its record is how it is found again."""
        if self.external is not None:
            self._remove_outside(id_, self.external)
        self.archive.store.delete(self.manifest_key(id_))
        keys = self.archive.store.list(objects_of(self.source, id_))
        for key in keys:
            self.archive.store.delete(key)
        return len(keys)

    def _remove_outside(self, id_: str, external: External) -> None:
        with suppress(BackupMissing, BackupDamaged):
            outside = self.backup(id_).outside
            if outside is not None and outside.place == external.place:
                external.remove(outside.id)

    @property
    def _manifests(self) -> str:
        return f"database/{self.source}/manifests"

    def manifest_key(self, id_: str) -> str:
        return f"{self._manifests}/{id_}.json"


def sources_in(archive: Archive) -> list[str]:
    """The sources of which there is a database backup."""
    return sorted({key.split("/")[1] for key in archive.reader.list("database") if "/manifests/" in key})


Failures = dict[str, DataPlatformError]
