"""Where the backups of a class lie in a store: the daily ones of the warehouse, and the archive for years."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shelf:
    """``word`` is what one of its backups is called. ``objects`` and ``manifests`` are folders of keys, ``files`` the folder of a backup's files within its own, with a
    slash, ``make`` the command that makes the first one."""

    name: str
    word: str
    objects: str
    manifests: str
    adopted: str
    files: str
    make: str

    def key(self, id_: str, what: str) -> str:
        """The key of the object ``what`` of a backup."""
        return f"{self.objects}/{id_}/{what}"

    @property
    def verified(self) -> str:
        """The key of the hint that says when backups of the shelf were read whole again."""
        return f"{self.name}/verified.json"

    def manifest_key(self, id_: str) -> str:
        return f"{self.manifests}/{id_}.json"


WAREHOUSE = Shelf(
    "warehouse",
    "backup",
    "warehouse/objects",
    "warehouse/manifests",
    "warehouse/adopted.json",
    "files/",
    "data-platform backup run",
)
ARCHIVE = Shelf(
    "archive",
    "archive",
    "archive",
    "archive/manifests",
    "archive/adopted.json",
    "",
    "data-platform backup archive",
)
