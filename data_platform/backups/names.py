"""Names of files and relations as parts of an object's key, and back: any name, escaped reversibly."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from data_platform.errors import BackupDamaged

LONGEST = 160
"""The longest name in a key: file systems allow 255 bytes, and a store may append to a name temporarily."""


def escaped(path: str) -> str:
    """The relative ``path`` in plain ASCII: other bytes, ``%`` and a name's leading dot as ``%XX``.

    A name of the file system need not be text, and a key's names neither begin with a dot nor hold
    every character.
    """
    return "/".join(_escaped(name) for name in path.split("/"))


def unescaped(path: str) -> str:
    """Reverses ``escaped``; a path from before escaping was introduced is returned unchanged."""
    return os.fsdecode(unquote_to_bytes(path))


def key_of(path: str) -> str:
    """``path``, escaped, as an object's key: a name that is too long is shortened and gets its digest appended."""
    return "/".join(name if len(name) <= LONGEST else _cut(name) for name in path.split("/"))


def relation(schema: str, name: str) -> str:
    """A table as one name of a key, unique for each table."""
    return key_of(".".join(_escaped(part).replace(".", "%2E") for part in (schema, name)))


def inside(folder: Path, path: str, owner: str) -> Path:
    """Where the file ``path`` of a backup goes below ``folder``. ``BackupDamaged`` if the path would
    lead out of it, which no genuine backup does."""
    names = unescaped(path).split("/")
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        raise BackupDamaged(
            f"{owner} holds a file named {path[:120]!r}, which would not be written inside {folder}. Nothing of it"
            " was written: somebody altered the manifest. Restore from another copy or another day."
        )
    target = folder.joinpath(*names)
    if not target.parent.resolve().is_relative_to(folder.resolve()) or target.is_symlink():
        raise BackupDamaged(
            f"The file {path[:120]!r} of {owner} would be written through a link, out of {folder}. Choose an empty"
            " folder that nobody else can write to."
        )
    return target


def _escaped(name: str) -> str:
    text = quote_from_bytes(os.fsencode(name), safe="")  # leaves letters, digits, `_ . - ~`
    return "%2E" + text[1:] if text.startswith(".") else text


def _cut(name: str) -> str:
    head = re.sub(r"%.?$", "", name[: LONGEST - 34])
    return f"{head}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
