"""Detectors from other libraries, each over a sample of the series, in an environment of their own.

Prophet by its own interval; ``STL`` and ``MSTL`` of statsmodels by the robust deviation of what they leave; ``AutoETS``
of statsforecast by its own interval. None is a dependency of the project: the environment is made on demand, and a
library that cannot be had is reported with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.anomaly.dataset import START, Labelled

PACKAGES = ("prophet", "statsmodels", "statsforecast", "holidays")
NAMES = ("prophet", "STL", "MSTL", "AutoETS")
WIDTHS = ("99%", "99.8%")
REFIT_DAYS = 14
"""A model is fitted once in so many days and forecasts the days until the next fit; a fit a day would take hours."""
PROGRAM = Path(__file__).with_name("peer_program.py")
TIMEOUT_SECONDS = 3600


class PeerMissing(Exception):
    """The reason why a library could not be compared."""


def environment(home: Path) -> Path:
    """The interpreter of the peers' environment in ``home``, made there if it is absent."""
    python = home / "bin" / "python"
    if not python.exists():
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise PeerMissing(f"it could not be installed: {done.stderr.strip()[-400:]}")
    return python


def run(name: str, python: Path, series: Sequence[Labelled]) -> tuple[np.ndarray, float, str]:
    """Alarms (series, widths, days) of the detector ``name``, the CPU seconds of its fits and forecasts, and its version."""
    request = {
        "detector": name,
        "start": START,
        "refit": REFIT_DAYS,
        "series": [{"first": one.first.isoformat(), "values": one.values.tolist()} for one in series],
    }
    try:
        done = subprocess.run(
            [str(python), str(PROGRAM)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"it did not end within {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        raise PeerMissing(f"it failed: {done.stderr.strip()[-400:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return np.array(answer["alarms"], dtype=bool), answer["seconds"], answer["version"]
