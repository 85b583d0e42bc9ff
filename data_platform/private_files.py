"""Files that only the account that runs this may read, whatever its umask was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

OTHERS = 0o077


def keep_private() -> None:
    """What this process and its children create from now on is closed to every other account: 0600 and 0700."""
    os.umask(OTHERS)


def make_private(folder: Path) -> None:
    """``folder`` and what is missing above it, closed to others; what is there already stays as it is."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(mode=0o700, exist_ok=True)


def is_own(folder: Path, forbidden: int = 0o022) -> bool:
    """Whether ``folder`` is a folder, no link, of this account, with none of the mode's ``forbidden`` bits."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & forbidden


def open_to_others(path: Path) -> bool:
    """Whether other accounts may read or enter ``path``: by its own mode and those of all folders above it."""
    try:
        path = path.resolve(strict=True)
        if not path.stat().st_mode & OTHERS:
            return False
        return all(folder.stat().st_mode & 0o011 for folder in path.parents)
    except OSError:
        return False
