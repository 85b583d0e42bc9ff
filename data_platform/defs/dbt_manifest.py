"""dbt's manifest: where it is, how it is built, and whether it is up to date.

    python -m data_platform.defs.dbt_manifest     builds it (`make manifest`)

Definitions load from a prebuilt manifest, because parsing costs seconds in every
process that loads them. A digest of the files from which it was built is stored next
to it, with the output of ``profiles.yml`` (a kind of warehouse); an outdated manifest is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_platform.defs.dbt_environment import passed_on
from data_platform.errors import ConfigurationError

PARSED_FOLDERS = ("models", "macros", "snapshots", "seeds", "tests", "analyses")
PARSED_FILES = (".dbtignore", "dbt_project.yml", "packages.yml", "dependencies.yml", "selectors.yml")
PROFILES = "profiles.yml"
SUFFIXES = (".sql", ".yml", ".yaml", ".md", ".csv", ".py")
DIGEST_NAME = "manifest.files.sha256"
BUILD = "Build it with `make manifest`"
DEFAULT_TARGET = "duckdb"
"""What ``profiles.yml`` chooses by itself."""


def dbt_folder(root: Path) -> Path:
    return root / "dbt"


def manifest_path(root: Path) -> Path:
    return dbt_folder(root) / "target" / "manifest.json"


def executable() -> str:
    """dbt of this interpreter's own environment, whatever PATH says."""
    beside = Path(sys.executable).parent / "dbt"
    return str(beside) if beside.exists() else "dbt"


def digest_of_files(project: Path) -> str:
    """SHA-256 over the names and bytes of every file that dbt parses; a few milliseconds."""
    digest = hashlib.sha256()
    for path in _digested(project):
        digest.update(path.relative_to(project).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def load_manifest(root: Path, target: str = DEFAULT_TARGET) -> dict[str, Any]:
    """The prebuilt manifest; ``ConfigurationError`` if it is missing, out of date or of another ``target``."""
    path = manifest_path(root)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"dbt's manifest {path} does not exist, so the models cannot be shown. {BUILD};"
            " `make dev` builds it automatically."
        ) from None
    if (other := _recorded(path)[1]) != target:
        raise ConfigurationError(
            f"dbt's manifest {path} is of a warehouse of the kind {other}, and the environment's is {target}."
            f" {BUILD} and the environment's DATA_PLATFORM_ENV."
        )
    if not fresh(root, target):
        project = dbt_folder(root)
        raise ConfigurationError(
            f"dbt's manifest {path} is out of date: a model, a test or a description in {project}"
            f" has changed. {BUILD}; `make dev` does that automatically."
        )
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def fresh(root: Path, target: str = DEFAULT_TARGET) -> bool:
    """Whether the manifest exists and was built from the current files for ``target``."""
    path, project = manifest_path(root), dbt_folder(root)
    if not path.exists():
        return False
    digest, of_target = _recorded(path)
    return of_target == target and (digest == digest_of_files(project) or _newer_than_files(path, project))


def _recorded(path: Path) -> tuple[str, str]:
    """The digest and the target that the manifest was built for: the default one's where nothing else is noted."""
    noted = path.with_name(DIGEST_NAME)
    digest, _, target = (noted.read_text() if noted.exists() else "").strip().partition(" ")
    return digest, target or DEFAULT_TARGET


def build_manifest(
    root: Path, target: str = DEFAULT_TARGET, variables: Mapping[str, str] | None = None
) -> Path:
    """Run ``dbt parse`` and record what the manifest was built from. Connects to nothing. ``target`` is an output of
    ``profiles.yml``: the kind of the environment's warehouse.

    If later runs have the same ``target`` and ``variables``, dbt reuses in each what it
    parsed here; otherwise it parses everything again (5 CPU-s).

    If several processes call this at once, the first one builds it and the others wait.
    """
    project = dbt_folder(root)
    manifest_path(root).parent.mkdir(parents=True, exist_ok=True)
    with (manifest_path(root).with_name("manifest.lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = digest_of_files(project)
        if manifest_path(root).exists() and _recorded(manifest_path(root)) == (digest, target):
            manifest_path(root).touch()  # newer than the files, as `make` wants it
            return manifest_path(root)
        _parse(project, target, variables or {})
        record(root, digest, target)
    return manifest_path(root)


def _parse(project: Path, target: str, variables: Mapping[str, str]) -> None:
    folder = str(project)
    done = subprocess.run(
        [
            executable(),
            "parse",
            "--quiet",
            "--project-dir",
            folder,
            "--profiles-dir",
            folder,
            "--target",
            target,
        ],
        cwd=project,
        env={
            **passed_on(parsed(project), os.environ),
            **variables,
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise ConfigurationError("dbt could not parse the project:\n" + "\n".join(lines[-30:]))


def record(root: Path, digest: str | None = None, target: str = DEFAULT_TARGET) -> None:
    """Note that the manifest is of the files whose ``digest`` this is (default: as they are) and of ``target``."""
    digest = digest or digest_of_files(dbt_folder(root))
    manifest_path(root).with_name(DIGEST_NAME).write_text(f"{digest} {target}\n")


def parsed(project: Path) -> Iterator[Path]:
    """The files of a project that dbt reads, its profiles too."""
    if (project / PROFILES).is_file():
        yield project / PROFILES
    yield from _digested(project)


def _digested(project: Path) -> Iterator[Path]:
    for name in PARSED_FILES:
        if (project / name).is_file():
            yield project / name
    for folder in PARSED_FOLDERS:
        for path in sorted((project / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                yield path


def _newer_than_files(path: Path, project: Path) -> bool:
    """Detects that a ``dbt`` command of the user rewrote the manifest without updating the digest."""
    written = path.stat().st_mtime
    digest = path.with_name(DIGEST_NAME)
    return (not digest.exists() or digest.stat().st_mtime < written) and all(
        file.stat().st_mtime < written for file in _digested(project)
    )


def main() -> None:
    from data_platform.catalog import load_catalog, project_root
    from data_platform.defs.classes import classes_of

    catalog = load_catalog(project_root())
    warehouse = catalog.environment(os.environ.get("DATA_PLATFORM_ENV") or "local").warehouse
    built = build_manifest(catalog.root, warehouse.kind, warehouse.dbt_variables(catalog.root))
    with suppress(ConfigurationError):  # the first build says it, and would have to wait for this
        classes_of(catalog)
    sys.stdout.write(f"{built}\n")


if __name__ == "__main__":
    main()
