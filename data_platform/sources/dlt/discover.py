"""Drafting a dlt source's file: a block for each resource, with the key that its hints name.

The first rows of each resource are read, for what is personal in them. Names are written; a value is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from itertools import islice
from threading import Event
from typing import Any

from data_platform.errors import DataPlatformError
from data_platform.printable import printable_line
from data_platform.sources.dlt.config import Called, DltConnection, called
from data_platform.sources.kind import SourceKeys
from data_platform.sources.looking import Privacy
from data_platform.sources.records.draft import block, head, leaves

_SEEN = 100
_SAID = (
    "Written by `data-platform discover` from the resources of the dlt source and their first rows. Lines with a question",
    "mark want a look; `data-platform validate` lists them.",
)


def discover(
    *,
    source: str,
    connection: DltConnection,
    keys: SourceKeys,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
) -> str:
    """The YAML for a function that gives a dlt source. Errors are those of opening it."""
    from data_platform.sources.dlt.feed import needs_dlt

    needs_dlt(source)
    from data_platform.sources.dlt.hints import hints_of
    from data_platform.sources.dlt.run import made

    asked = called(source, connection, environ)
    written = connection.model_dump(mode="json", exclude_defaults=True)
    lines = head(source, "dlt", written, _SAID)
    for name, resource in made(asked).resources.items():
        hints, table = hints_of(resource), _table_name(name)
        own = [] if table == name else [("resource", name)]
        try:
            paths = list(_paths(asked, name))
        except DataPlatformError as error:
            lines.append(f"  # {name} is left out: {printable_line(str(error))}")
            continue
        lines += block(table, own, () if hints.disposition == "replace" else hints.key, paths, privacy)
    return "\n".join(lines) + "\n"


def _paths(asked: Called, name: str) -> Iterator[str]:
    from data_platform.sources.dlt.run import Run

    run = Run(asked, f"{asked.source}/{name}", name, None, {}, Event())
    with closing(run.rows()) as found:
        rows: Iterator[Any] = (row for part in found for row in part.rows)
        for row in islice(rows, _SEEN):
            if isinstance(row, Mapping):
                yield from leaves(row)


def _table_name(name: str) -> str:
    """A name that a table of the catalog may have."""
    return re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", name.lower())).strip("_")[:48] or "table"
