"""Drafting a source's file from a manifest: a block for each stream, with its key. Its schemas say what looks personal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from data_platform.sources.airbyte_manifest.config import AirbyteConnection
from data_platform.sources.airbyte_manifest.feed import Connector
from data_platform.sources.kind import SourceKeys
from data_platform.sources.looking import Privacy
from data_platform.sources.reading import Opening
from data_platform.sources.records.draft import block, head

_DEPTH = 5
_SAID = (
    "Written by `data-platform discover` from the streams of the manifest and their schemas. Lines with a question mark want a",
    "look; `data-platform validate` lists them.",
)


def discover(
    *,
    source: str,
    connection: AirbyteConnection,
    keys: SourceKeys,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
) -> str:
    """The YAML for a manifest. SourceError where Airbyte's program tells no streams."""
    connector = Connector(Opening(source, connection, environ, ()))
    lines = head(source, "airbyte_manifest", connection.model_dump(mode="json", exclude_defaults=True), _SAID)
    for name, (stream, _) in connector.catalog().items():
        table = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", name.lower())).strip("_")[:48] or "table"
        key = [path[0] for path in stream.source_defined_primary_key or [] if len(path) == 1]
        own = [] if table == name else [("stream", name)]
        lines += block(table, own, key, _paths(stream.json_schema), privacy)
    return "\n".join(lines) + "\n"


def _paths(schema: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """The paths of single values that a schema tells, arrays passed through."""
    for name, inner in (schema.get("properties") or {}).items():
        while isinstance(inner, Mapping) and isinstance(inner.get("items"), Mapping):
            inner = inner["items"]
        if not isinstance(inner, Mapping) or "." in name or '"' in name:
            continue
        if inner.get("properties") and depth < _DEPTH:
            yield from _paths(inner, f"{prefix}{name}.", depth + 1)
        else:
            yield prefix + name
