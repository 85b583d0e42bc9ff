"""Where an environment's alerts go and where its status page lies, read even from a catalog with other mistakes.

An alert must be able to say that the catalog cannot be read, and to link to the UI, so it cannot need a valid
catalog.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_platform.alerts.config import AlertsConfig
from data_platform.catalog.reads import PLATFORM_FILE
from data_platform.catalog.yaml_reader import read_yaml
from data_platform.observability.config import StatusPageConfig


def alerts_of(root: Path, environment: str) -> AlertsConfig:
    """The block ``alerts`` of ``environment``; the defaults if it cannot be read."""
    try:
        found: Any = read_yaml((root / PLATFORM_FILE).read_text(encoding="utf-8-sig")).data
        return AlertsConfig.model_validate(found["environments"][environment]["alerts"])
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValidationError):
        return AlertsConfig()


def status_page_of(root: Path, environment: str) -> Path | None:
    """The file of the status page of ``environment``; None if it has none, or the catalog cannot be read."""
    try:
        found: Any = read_yaml((root / PLATFORM_FILE).read_text(encoding="utf-8-sig")).data
        block = found["environments"][environment]["status_page"]
        path = None if block is None else StatusPageConfig.model_validate(block).path
        return None if path is None else root / path
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValidationError):
        return None
