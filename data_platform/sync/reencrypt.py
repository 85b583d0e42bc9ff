"""Rotates the key of encrypted backups: every archive is encrypted for today's recipients, object by object."""

from __future__ import annotations

from collections.abc import Sequence

from data_platform.backups import reencrypt as reencrypting
from data_platform.backups.archive import Archive
from data_platform.backups.reencrypt import Progress, Reencrypted
from data_platform.backups.shelf import ARCHIVE
from data_platform.sync.backup import archive, everywhere
from data_platform.sync.platform import Platform


def due(platform: Platform, copy: str | None = None) -> list[Reencrypted]:
    """What ``reencrypt`` would rewrite, by archive."""
    return [reencrypting.due(one) for one in _chosen(platform, copy)]


def reencrypt(
    platform: Platform, copy: str | None = None, *, every: bool = False, progress: Progress = lambda key: None
) -> list[Reencrypted]:
    """Rewrite what today's identities do not open, in the archive ``copy`` or in all of them; see ``backups.reencrypt``."""
    return [
        reencrypting.reencrypt(one, platform.environ, every=every, progress=progress)
        for one in _chosen(platform, copy)
    ]


def _chosen(platform: Platform, copy: str | None) -> Sequence[Archive]:
    return everywhere(platform, ARCHIVE) if copy is None else [archive(platform, copy, ARCHIVE)]
