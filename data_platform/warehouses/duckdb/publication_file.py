"""The file of a publication: made beside the last one, by one process at a time, and put in its place by a rename.

Readers who hold the last file keep it until they close it: a rename leaves what is open as it is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_platform.errors import ConfigurationError, WarehouseBusy
from data_platform.private_files import make_private

FILE, FILE_FOR_GROUP, FOLDER_FOR_GROUP = 0o400, 0o440, 0o750
"""Nobody may write: who opened it for writing would lock readers out, and leave a log beside it."""
_PAUSE_SECONDS = 0.1


def copy_file(into: Path, new: Path) -> None:
    """By reference where the file system can, which takes no room and no time."""
    with into.open("rb") as source, new.open("wb") as target:
        left = os.fstat(source.fileno()).st_size
        try:
            while left > 0 and (done := os.copy_file_range(source.fileno(), target.fileno(), left)):
                left -= done
        except (AttributeError, OSError):
            source.seek(0)
            target.seek(0)
            shutil.copyfileobj(source, target, 1 << 20)
    new.chmod(0o600)


def put_in_place(new: Path, into: Path, group_id: int | None) -> None:
    if group_id is not None:
        os.chown(new, -1, group_id)
    new.chmod(FILE if group_id is None else FILE_FOR_GROUP)
    _sync(new)
    _log(into).unlink(
        missing_ok=True
    )  # somebody's who wrote into the last one; it must not be replayed over this one
    new.replace(into)
    _sync(into.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(into: Path, new: Path, wait_seconds: float) -> Iterator[None]:
    """One publication at a time; the lock ends with its process. What a killed one left is removed, before and after."""
    handle = os.open(into.with_name(f".{into.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        start = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() - start >= wait_seconds:
                    raise WarehouseBusy(
                        f"Another process makes the publication {into}; waited {wait_seconds:.0f} seconds. Run it again when"
                        " that one is done."
                    ) from None
                time.sleep(_PAUSE_SECONDS)
        _forget(new)
        try:
            yield
        finally:
            _forget(new)
    finally:
        os.close(handle)


def _forget(new: Path) -> None:
    for path in (new, _log(new)):
        path.unlink(missing_ok=True)
    shutil.rmtree(scratch(new), ignore_errors=True)


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def scratch(new: Path) -> Path:
    return new.with_name(f"{new.name}.tmp")


def prepare(into: Path, group_id: int | None) -> None:
    if into.is_dir():
        raise ConfigurationError(
            f"`publish: path:` in catalog/platform.yaml is {into}, which is a folder: name a file."
        )
    there = into.parent.is_dir()
    make_private(into.parent)
    if group_id is not None and not there:
        os.chown(into.parent, -1, group_id)
        into.parent.chmod(FOLDER_FOR_GROUP)


def group_of(name: str | None) -> int | None:
    if name is None:
        return None
    import grp

    try:
        found = grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigurationError(
            f"`publish: group:` in catalog/platform.yaml names {name}, and this machine has no such group."
        ) from None
    if os.geteuid() != 0 and found not in (os.getegid(), *os.getgroups()):
        raise ConfigurationError(
            f"`publish: group:` in catalog/platform.yaml names {name}, and the account that publishes is not in it: add it"
            " with `usermod -aG`, then start it again."
        )
    return found
