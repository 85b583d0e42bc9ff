"""The manifest's file: what of it is refused before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from data_platform.errors import ConfigurationError

_MAX_BYTES = 32 * 2**20


def checked_manifest(source: str, path: Path) -> Path:
    """The file's absolute path. ConfigurationError where it is no declarative manifest, or needs somebody's code."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{source}: {path} has more than 32 MB, and is no manifest.")
        data = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise ConfigurationError(
            f"{source}: the manifest {path} cannot be read ({error.strerror})."
        ) from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{source}: the manifest {path} is no YAML.") from None
    if not isinstance(data, dict) or data.get("type") != "DeclarativeSource":
        raise ConfigurationError(
            f"{source}: {path} is no declarative manifest: at its top stands no `type: DeclarativeSource`. A connector that is"
            " written in Python or Java cannot be run here."
        )
    if custom := next(_custom(data, ""), None):
        raise ConfigurationError(
            f"{source}: {path}: {custom} is a custom component, which is Python code beside the manifest. It is not run: take"
            " a manifest without it, or read the API with `kind: rest` or `kind: dlt`."
        )
    return path.absolute()


def _custom(value: Any, path: str) -> Iterator[str]:
    """Where the manifest names Python code."""
    if isinstance(value, dict):
        if str(value.get("type", "")).startswith("Custom") or "class_name" in value:
            yield f"{path or 'the top'} ({value.get('class_name') or value.get('type')})"
        for key, inner in value.items():
            yield from _custom(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _custom(inner, f"{path}[{n}]")
