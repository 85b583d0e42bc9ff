"""The SQL of every model and test of a dbt project, compiled without a warehouse."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from data_platform.defs.dbt_environment import passed_on
from data_platform.defs.dbt_manifest import (
    DEFAULT_TARGET,
    dbt_folder,
    digest_of_files,
    executable,
    manifest_path,
    parsed,
)
from data_platform.errors import ConfigurationError
from data_platform.warehouses.kinds import IN_MEMORY

KEPT = "manifest.compiled.json"


class Compiled(NamedTuple):
    """dbt's manifest, and the SQL by unique id."""

    manifest: Mapping[str, Any]
    sql: Mapping[str, str]


def compiled_models(root: Path) -> Compiled:
    """``compile_models``, once for each state of the project's files: what it gave is kept beside the manifest."""
    place, digest = manifest_path(root).with_name(KEPT), digest_of_files(dbt_folder(root))
    held = kept(place, digest)
    if held is None:
        done = compile_models(root)
        held = {"manifest": done.manifest, "sql": done.sql}
        keep(place, digest, held)
    return Compiled(held["manifest"], held["sql"])


def kept(place: Path, digest: str) -> dict[str, Any] | None:
    """What ``keep`` wrote to ``place`` for this ``digest``; None for another, and for what cannot be read."""
    try:
        held: dict[str, Any] = json.loads(place.read_bytes())
        return held if held["digest"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(place: Path, digest: str, held: Mapping[str, Any]) -> None:
    """Where the folder cannot be written, the next process makes it too."""
    beside = place.with_name(f"{place.name}.{os.getpid()}")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({**held, "digest": digest}))
        beside.replace(place)


def compile_models(root: Path) -> Compiled:
    """As if every table of the catalog had landed (``whole_catalog``) and no model were built yet, for dbt's default
    output and with a database in memory: no file of the project is opened or written. ``ConfigurationError`` with
    dbt's words where a model does not compile."""
    project = dbt_folder(root)
    with tempfile.TemporaryDirectory(prefix="data-platform-dbt-") as target:
        done = subprocess.run(
            [
                *(executable(), "compile", "--quiet", "--target", DEFAULT_TARGET, "--vars", "{whole_catalog: true}"),
                *("--project-dir", str(project), "--profiles-dir", str(project)),
                *("--target-path", target, "--log-path", target),
            ],
            cwd=project,
            env={
                **passed_on(parsed(project), os.environ),
                **IN_MEMORY,
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            },
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines()
            raise ConfigurationError(
                "dbt could not compile the project in " + str(project) + ":\n" + "\n".join(lines[-30:])
            )
        manifest = json.loads(Path(target, "manifest.json").read_bytes())
        results = json.loads(Path(target, "run_results.json").read_bytes())["results"]
    return Compiled(manifest, {one["unique_id"]: one.get("compiled_code") or "" for one in results})
