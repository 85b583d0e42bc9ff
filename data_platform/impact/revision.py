"""A project as it was at a revision of git."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_platform.errors import ConfigurationError


@contextmanager
def checked_out(root: Path, revision: str) -> Iterator[Path]:
    """The files of the folder ``root`` at ``revision`` in a folder of their own; nothing of the repository changes.
    ``ConfigurationError`` if there is no git, no repository or no such revision."""
    if revision.startswith("-"):
        raise ConfigurationError(f"{revision!r} is no revision of git: name a branch, a tag or a commit.")
    try:
        done = subprocess.run(
            ["git", "archive", "--format=tar", revision, "."], cwd=root, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise ConfigurationError("There is no `git` on this machine, so no revision can be read.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigurationError(
            f"git cannot give the files of {root} at {revision!r}: {said[-1] if said else 'no reason given'}. Name a branch,"
            " a tag or a commit of the repository that holds the project."
        )
    with tempfile.TemporaryDirectory(prefix="data-platform-revision-") as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
            files.extractall(folder, filter="data")
        if not (Path(folder) / "catalog" / "platform.yaml").exists():
            raise ConfigurationError(f"The project of {root} was not there yet at {revision!r}.")
        yield Path(folder)
