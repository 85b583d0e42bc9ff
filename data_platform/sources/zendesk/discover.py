"""Drafting a Zendesk source's file: the objects that analysts use, with what is personal in them.

A first page of each is read, for the fields that only this account has. Names are written; a value is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from data_platform.errors import SourceError
from data_platform.printable import printable_line, yaml_scalar
from data_platform.sources.http.words import RequestRefused
from data_platform.sources.kind import SourceKeys
from data_platform.sources.looking import Privacy
from data_platform.sources.zendesk.api import Api
from data_platform.sources.zendesk.config import ZendeskConnection
from data_platform.sources.zendesk.objects import DRAFTED, OBJECTS, ZendeskObject
from data_platform.sources.zendesk.walk import Walk

_SEEN = 100
_DEPTH = 5
CONFIRM = (
    "    personal:  # take each question mark away once you have decided; `keep` lands the value as it is"
)


def discover(
    *,
    source: str,
    connection: ZendeskConnection,
    keys: SourceKeys,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
) -> str:
    """The YAML for an account. SourceError where it gives nothing at all."""
    lines = [
        "# yaml-language-server: $schema=../schema/source.schema.json",
        "# Written by `data-platform discover` from a first page of each table. Lines with a question mark want a look;",
        "# `data-platform validate` lists them.",
        f"source: {source}",
        "kind: zendesk",
        "connection:",
        *(
            f"  {name}: {yaml_scalar(value) if isinstance(value, str) else value}"
            for name, value in connection.model_dump(mode="json", exclude_defaults=True).items()
        ),
        'schedule: "0 5 * * 1"  # Mondays at 05:00 UTC',
        "freshness_hours: 192",
        "tables:",
    ]
    refused: list[SourceError] = []
    api = Api(source, connection, environ)
    try:
        for name in DRAFTED:
            found = OBJECTS[name]
            try:
                paths = _paths(api, found)
            except SourceError as error:
                if isinstance(error, RequestRefused) and error.status == 401:
                    raise
                refused.append(error)
                lines.append(f"  # {name} is left out: {printable_line(str(error))}")
                continue
            lines += _block(found, paths, privacy)
    finally:
        api.close()
    if len(refused) == len(DRAFTED):
        raise refused[0]
    return "\n".join(lines) + "\n"


def _paths(api: Api, found: ZendeskObject) -> dict[str, None]:
    """The paths of the single values on a first page."""
    page = next(iter(Walk(api, found.name, found, {}, 0).pages(None, per_page=_SEEN)))
    paths: dict[str, None] = {}
    for record in page.records:
        value = msgspec.json.decode(record)
        if isinstance(value, dict):
            paths.update(dict.fromkeys(_leaves(value, "")))
    return paths


def _leaves(value: Mapping[str, Any], prefix: str, depth: int = 0) -> Iterator[str]:
    for name, inner in value.items():
        if "." in name or (prefix and '"' in name):
            continue
        for one in (inner or [None]) if isinstance(inner, list) else (inner,):
            if isinstance(one, dict) and depth < _DEPTH:
                yield from _leaves(one, f"{prefix}{name}.", depth + 1)
            else:
                yield prefix + name


def _block(found: ZendeskObject, paths: Mapping[str, None], privacy: Privacy) -> list[str]:
    lines = [f"  {found.name}:", f"    key: {found.key}"]
    if found.newest_data and found.walked != "list":
        lines.append(f"    # newest_data: {{column: {found.newest_data}, max_age_hours: 192}}")
    personal = [f"      {yaml_scalar(path)}: {treatment}" for path, treatment in found.personal.items()]
    for path in paths:
        reason = None if path in found.personal else privacy.by_name(path.rpartition(".")[2], found.name)
        if reason:
            treatment = privacy.treatment(path.rpartition(".")[2], reason, path == found.key)
            personal.append(f"      {yaml_scalar(path)}: {treatment}?  # {printable_line(reason)}")
    return [*lines, *([CONFIRM, *personal] if personal else [])]
