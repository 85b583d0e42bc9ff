"""Tables that are computed from other tables of the catalog, and tables whose blocks lie in files of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from data_platform.catalog.mistakes import Mistake, Report, did_you_mean, path_text
from data_platform.catalog.models import Source, Table
from data_platform.tables import TableId

_TABLES_IN = re.compile(rb"^tables_in:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


class Read(NamedTuple):
    """A table that reads others, and the file of its block."""

    table: Table
    report: Report


def table_folders(root: Path, files: Iterable[Path]) -> list[Path]:
    """The folders that source files name under ``tables_in``, found without parsing them: it is asked at every tick."""
    found = []
    for path in files:
        if path.suffix == ".yaml" and path.is_file() and (match := _TABLES_IN.search(path.read_bytes())):
            folder = root / match[1].decode(errors="replace")
            if folder.is_dir():
                found.append(folder)
    return found


def check_reads(sources: dict[str, Source], reads: Mapping[TableId, Read], mistakes: list[Mistake]) -> None:
    """Report inputs that the catalog does not have, and take their sources out of ``sources``."""
    known = {table.id for source in sources.values() for table in source.tables.values()}
    for id_, (table, report) in reads.items():
        base = ("tables", id_.table, "inputs")
        at = Mistake(report.file, report.document.line(base), path_text(report.document.written(base)), "")
        for read in table.settings.reads:
            if read.source == id_.source:
                problem = f"names {read}, which is a table of the same source: read those of others"
            elif read not in known:
                near = did_you_mean(str(read), map(str, known))
                problem = f"names {read}, which is no table of the catalog.{near}"
            else:
                continue
            mistakes.append(Mistake(at.file, at.line, at.path, problem))
            sources.pop(id_.source, None)
