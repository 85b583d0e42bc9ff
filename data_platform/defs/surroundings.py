"""The environment variables of a sensor, and its output. Imports nothing of the graph."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dagster as dg
from dotenv import dotenv_values


def variables(root: Path) -> dict[str, str]:
    """The environment, completed by the project's ``.env``."""
    beside = {name: value for name, value in dotenv_values(root / ".env").items() if value}
    return {**beside, **os.environ}


def echo(context: dg.SensorEvaluationContext, text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    context.log.info(text)
