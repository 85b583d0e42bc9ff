"""deploy/kubernetes as a cluster gets it: rendered by the kubectl that the lock file brings."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"


@cache
def rendered() -> tuple[dict[str, Any], ...]:
    return render(KUBERNETES)


def render(folder: Path) -> tuple[dict[str, Any], ...]:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "KUBECONFIG": "/dev/null"},
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def objects(kind: str) -> dict[str, dict[str, Any]]:
    """Those of one kind, by name."""
    return {one["metadata"]["name"]: one for one in rendered() if one["kind"] == kind}


def container(name: str) -> dict[str, Any]:
    """The one container of a Deployment."""
    (one,) = objects("Deployment")[name]["spec"]["template"]["spec"]["containers"]
    return dict(one)
