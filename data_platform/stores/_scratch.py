"""Private folders on a local disk for files in transit, and the removal of folders that killed processes left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_platform.private_files import is_own

_ABANDONED_SECONDS = 24 * 3600
"""An unlocked scratch file may still be new; a day is longer than any single write."""


_OURS = ("parts-", "put-")
"""Prefix of the names made here; everything else in the folder belongs to somebody else."""


@contextmanager
def locked_folder(base: Path) -> Iterator[Path]:
    """A new folder in ``base`` (which exists), removed at the end of the block. The lock on the file
    in it shows that its owner is alive."""
    folder = Path(tempfile.mkdtemp(prefix="parts-", dir=base))
    lock = os.open(folder / ".locking", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / ".locking").rename(folder / ".lock")  # seen only once it is held
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(base: Path) -> None:
    """Remove what killed processes left in ``base``: their locks are free.

    Only folders that this account made here, under our names, are removed. Links are not followed, and a folder
    that others can write to is left alone.
    """
    if not is_own(base):
        return
    with suppress(FileNotFoundError), os.scandir(base) as entries:
        for entry in entries:
            with suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if not entry.name.startswith(_OURS) or found.st_uid != os.geteuid():
                    continue
                old = found.st_mtime < time.time() - _ABANDONED_SECONDS
                if entry.is_dir(follow_symlinks=False):
                    lock = Path(entry.path) / ".lock"
                    if _lock_is_free(lock) or (old and not lock.exists()):
                        shutil.rmtree(entry.path, ignore_errors=True)
                elif old and entry.is_file(follow_symlinks=False):
                    Path(entry.path).unlink()


def _lock_is_free(path: Path) -> bool:
    """Whether the owner of the lock file ``path`` has ended; False if there is no such file."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)
