"""Files that have no rows any more: one marked row each, which says the file alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_platform.sources.files.config import FILE, GONE
from data_platform.sources.files.engine import copy, engine_in
from data_platform.sources.reading import Described, LandedColumns, prepare
from data_platform.sql import literal, quoted


def without_rows(parts: Sequence[Path], files: Sequence[str]) -> list[str]:
    """Those of ``files`` of which ``parts`` hold no row."""
    has: set[str] = set()
    if parts:
        with engine_in(parts[0].parent) as engine:
            listed = ", ".join(literal(str(path)) for path in parts)
            found = engine.execute(f"SELECT DISTINCT {quoted(FILE)} FROM read_parquet([{listed}])")
            has = {file for (file,) in found.fetchall()}
    return [file for file in files if file not in has]


def mark(
    path: Path, files: Sequence[str], now: Described, landed: LandedColumns
) -> tuple[tuple[Path, int], ...]:
    """A part at ``path`` that marks ``files``; none where there are none."""
    if not files:
        return ()
    nulls = [f"NULL::{c.type} AS {quoted(c.name)}" for c in now.columns if c.name != FILE]
    listed = ", ".join(f"({literal(file)})" for file in files)
    rows = f"SELECT {', '.join([*nulls, quoted(FILE)])}, true AS {quoted(GONE)} FROM (VALUES {listed}) AS f({quoted(FILE)})"
    with engine_in(path.parent) as engine:
        prepare(engine, [landed])
        return ((path, copy(engine, landed.select(f"({rows})"), path)),)
