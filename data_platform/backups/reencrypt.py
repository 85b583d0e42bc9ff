"""Encrypts what is in an archive for today's recipients, so that an old identity is needed no more.

Each object is rewritten in its place, and read back with today's identities alone. Until then the old one is there, so a run that is
killed loses nothing, and the next one finds by the objects' headers what is left to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import PREFIX, place_in
from data_platform.errors import BackupDamaged, ConfigurationError, DataPlatformError, ObjectLocked
from data_platform.landing import hint
from data_platform.landing.ledger import Ledger
from data_platform.stores.encrypted import EncryptedStore
from data_platform.tables import TableId

STATE, PROGRESS = "encryption/state.json", "encryption/progress.json"
"""Hints: what the last run left, and how far one that rewrites everything has come."""
FOLDERS = frozenset({"archive", "database", "encryption", "keys", PREFIX, "locks", "warehouse"})
"""Of an archive: what lies there is encrypted, though it was not when it was put."""
AT_ONCE = 64
NAMED_MAX = 20


@dataclass(frozen=True, slots=True)
class Left:
    """An object that today's identities do not open, and why it could not be rewritten. ``until`` is when it can be, if its lock is
    the reason."""

    key: str
    why: str
    until: datetime | None = None


@dataclass(frozen=True)
class Reencrypted:
    """Of one archive: ``objects`` were looked at; ``due`` are the keys that today's identities do not open, or all with ``every``.
    ``rewritten`` of them were. ``left`` are the others."""

    archive: str
    objects: int
    due: tuple[str, ...]
    rewritten: int = 0
    left: tuple[Left, ...] = ()


@dataclass(frozen=True)
class State:
    """What the last run found, if it was for today's recipients: how many objects still need an old identity, and some of them."""

    at: datetime
    left: int
    named: tuple[str, ...] = ()
    waiting: frozenset[str] = frozenset()
    """Keys that can be rewritten once their lock has ended: it is not extended."""


Progress = Callable[[str], None]
"""Called with each key that was rewritten and read back."""


def due(archive: Archive) -> Reencrypted:
    """What a run would rewrite. One listing, and a request for the header of each object."""
    store = _encrypted(archive)
    keys = _ours(store)
    found = [key for some in _groups(keys) for key in _needing(store, some)]
    return Reencrypted(archive.name, len(keys), tuple(found))


def reencrypt(
    archive: Archive,
    environ: Mapping[str, str],
    *,
    every: bool = False,
    progress: Progress = lambda key: None,
) -> Reencrypted:
    """Rewrite what today's identities do not open, or with ``every`` all objects: those too that one of them opens, but
    which are not for each of today's recipients."""
    store = _encrypted(archive)
    keys = [key for key in _ours(store) if key not in (STATE, PROGRESS)]
    looked_at = len(keys)
    if every:
        after = _reached(archive, store)
        keys = [key for key in keys if key > after]
    found: list[str] = []
    left: list[Left] = []
    for some in _groups(keys):
        wanted = some if every else _needing(store, some)
        done = store.together([partial(_rewritten, archive, key) for key in wanted])
        for key, problem in zip(wanted, done, strict=True):
            if problem is None:
                progress(key)
            else:
                left.append(problem)
        found += wanted
        if every and not left:
            fields = {"recipients": _recipients(store), "after": some[-1]}
            hint.write(archive.store, PROGRESS, fields, archive.signer)
    for key in archive.covered():
        left.append(
            Left(key, "it was hidden by somebody: `data-platform backup uncover --yes` brings it back")
        )
    unwritten = {one.key for one in left}
    _erase_again(archive, environ, [key for key in found if key not in unwritten])
    if every and not left:
        archive.store.delete(PROGRESS)
    _remember(archive, store, left)
    return Reencrypted(
        archive.name, looked_at, tuple(found), len(found) - len(unwritten & {*found}), tuple(left)
    )


def state(archive: Archive) -> State | None:
    """What the last run found; None if there was none for today's recipients."""
    store = _encrypted(archive)
    raw = hint.read(archive.reader, STATE, archive.signer)
    if raw.get("recipients") != _recipients(store):
        return None
    at = datetime.fromisoformat(raw["at"])
    return State(at, raw["left"], tuple(raw["named"]), frozenset(raw["waiting"]))


def waiting(archive: Archive) -> frozenset[str]:
    """Keys whose locks must end, so that they can be rewritten; none in an archive that is not encrypted."""
    if not isinstance(archive.store, EncryptedStore):
        return frozenset()
    known = state(archive)
    return known.waiting if known else frozenset()


def opened_by_previous(archive: Archive) -> tuple[str, ...]:
    """The keys that were read through ``archive.reader`` and that only a previous identity opens."""
    reader = archive.reader
    return tuple(sorted(reader.opened_by_previous)) if isinstance(reader, EncryptedStore) else ()


def _encrypted(archive: Archive) -> EncryptedStore:
    if isinstance(archive.store, EncryptedStore):
        return archive.store
    raise ConfigurationError(
        "Backups are not encrypted: there is no `encryption` under `backups:` in catalog/platform.yaml, so nothing can be"
        " encrypted again."
    )


def _recipients(store: EncryptedStore) -> str:
    return hashlib.sha256(" ".join(sorted(store.recipients)).encode()).hexdigest()


def _ours(store: EncryptedStore) -> list[str]:
    """All keys but those that somebody else keeps in the same bucket: outside of the platform's folders, and not encrypted."""
    mine, others = list[str](), list[str]()
    for key in store.list(""):
        (mine if key.split("/")[0] in FOLDERS else others).append(key)
    for some in _groups(others):
        sealed = store.together([partial(_is_encrypted, store, key) for key in some])
        mine += [key for key, is_sealed in zip(some, sealed, strict=True) if is_sealed]
    return sorted(mine)


def _is_encrypted(store: EncryptedStore, key: str) -> bool:
    try:
        return store.is_encrypted(key)
    except KeyError:
        return False


def _needing(store: EncryptedStore, keys: Sequence[str]) -> list[str]:
    def needs(key: str) -> bool:
        try:
            return store.needs_rewriting(key)
        except KeyError:
            return False  # it was removed meanwhile

    answers = store.together([partial(needs, key) for key in keys])
    return [key for key, needed in zip(keys, answers, strict=True) if needed]


def _rewritten(archive: Archive, key: str) -> Left | None:
    """None once it is rewritten and read back, or gone."""
    store = _encrypted(archive)
    try:
        digest = store.rewrite(key)
        reader = archive.open()
        assert isinstance(reader, EncryptedStore)
        with reader.with_today().local(key) as path:
            if _sha256(path) != digest and not _is_hint(key):
                raise BackupDamaged("it does not read back as it was. Restore it from another copy.")
    except KeyError:
        return None
    except ObjectLocked as error:
        return Left(key, str(error), store.locks.until(key) if store.locks else None)
    except DataPlatformError as error:
        return Left(key, str(error))
    return None


def _is_hint(key: str) -> bool:
    """Whether another process may have written the object again meanwhile."""
    return key.endswith(".json") and "/manifests/" not in key and "/records/" not in key


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _erase_again(archive: Archive, environ: Mapping[str, str], keys: Sequence[str]) -> None:
    """Delete parts that a redaction erased while they were being rewritten: nobody who was erased comes back."""
    place = place_in(archive)
    mirrored = Ledger(place.reader, environ, archive.signer)
    by_table: dict[TableId, list[str]] = {}
    for key in keys:
        match key.split("/"):
            case [folder, source, table, "batches", *_] if folder == PREFIX:
                by_table.setdefault(TableId(source, table), []).append(key.removeprefix(f"{PREFIX}/"))
    for id_, parts in by_table.items():
        erased = mirrored.rewrites(id_).by_old_key
        for part in parts:
            if part in erased:
                with suppress(ObjectLocked):  # the mirror deletes it after its lock
                    place.store.delete(part)


def _reached(archive: Archive, store: EncryptedStore) -> str:
    raw = hint.read(archive.reader, PROGRESS, archive.signer)
    return str(raw["after"]) if raw.get("recipients") == _recipients(store) else ""


def _remember(archive: Archive, store: EncryptedStore, left: Sequence[Left]) -> None:
    fields = {
        "recipients": _recipients(store),
        "at": datetime.now(UTC).isoformat(),
        "left": len(left),
        "named": [one.key for one in left[:NAMED_MAX]],
        "waiting": sorted(one.key for one in left if one.until is not None),
    }
    hint.write(archive.store, STATE, fields, archive.signer)


def _groups(keys: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while some := list(islice(rest, AT_ONCE)):
        yield some
