"""dbt's project as the repository has it, in a folder of a test's own, parsed already for that folder's warehouse.

dbt parses a project anew (5 CPU-s) where its warehouse is another than the one it was parsed for, though nothing
that is parsed depends on it. It compares a digest of the connection: here that of the test's warehouse is put in.
Where it does not fit, dbt only takes longer; a test says so.
"""

from __future__ import annotations

import hashlib
import pprint
import shutil
from pathlib import Path
from typing import Any

import msgpack

from data_platform.defs.dbt_manifest import dbt_folder, manifest_path

PARSED = "partial_parse.msgpack"
DEFAULT = "../.data/warehouse.duckdb"
"""What `dbt/profiles.yml` names where nobody names a warehouse."""
CONNECTION: dict[str, Any] = {
    **dict.fromkeys(("attach", "config_options", "extensions", "filesystems", "plugins", "remote")),
    "database": "warehouse",
    "disable_transactions": False,
    "external_root": ".",
    "schema": "analytics",
    "settings": {
        "TimeZone": "UTC",
        "autoinstall_known_extensions": "false",
        "memory_limit": "1GB",
        "preserve_insertion_order": "false",
    },
    "use_credential_provider": None,
}


def digest(warehouse: str) -> str:
    """What dbt keeps of the connection of `dbt/profiles.yml` to the file ``warehouse``."""
    return hashlib.sha256(
        pprint.pformat(sorted({**CONNECTION, "path": warehouse}.items())).encode()
    ).hexdigest()


def known(repository: Path) -> bool:
    """Whether the digest in what the repository's project was parsed into is one that ``digest`` gives."""
    parsed = msgpack.unpackb((manifest_path(repository).parent / PARSED).read_bytes(), strict_map_key=False)
    mine = {digest(path) for path in (DEFAULT, str(repository / ".data" / "warehouse.duckdb"))}
    return parsed["state_check"]["profile_hash"]["checksum"] in mine


def copy_dbt(repository: Path, root: Path, warehouse: Path | None = None) -> None:
    """The project in ``root``: links to the repository's files, and a target folder of its own: see ``copy_target``."""
    there = dbt_folder(root)
    there.mkdir()
    for entry in dbt_folder(repository).iterdir():
        if entry.name not in ("target", "logs"):
            (there / entry.name).symlink_to(entry)
    copy_target(repository, root, warehouse)


def copy_target(repository: Path, root: Path, warehouse: Path | None = None) -> None:
    """The manifest, and what the project was parsed into for ``warehouse`` (the sandbox's one in ``root`` unless another
    is named), as after `make manifest` there."""
    target = manifest_path(root).parent
    target.mkdir()
    for file in manifest_path(repository).parent.glob("manifest.*"):
        shutil.copy2(file, target)
    copy_parsed(repository, target, warehouse or root / ".data" / "warehouse.duckdb")


def copy_parsed(repository: Path, target: Path, warehouse: Path) -> None:
    """What the repository's project was parsed into, if it was, into the folder ``target``, for the file ``warehouse``."""
    made = manifest_path(repository).parent / PARSED
    if made.exists():
        parsed = msgpack.unpackb(made.read_bytes(), strict_map_key=False)
        parsed["state_check"]["profile_hash"]["checksum"] = digest(str(warehouse))
        target.mkdir(parents=True, exist_ok=True)
        (target / PARSED).write_bytes(msgpack.packb(parsed))
