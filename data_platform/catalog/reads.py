"""Tables that are computed from other tables of the catalog, and tables whose blocks lie in files of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from data_platform.catalog.mistakes import Mistake, Report, did_you_mean, path_text
from data_platform.catalog.source import Source
from data_platform.catalog.table import Table
from data_platform.tables import TableId

PLATFORM_FILE = "catalog/platform.yaml"
SOURCES_FOLDER = "catalog/sources"
_TABLES_IN = re.compile(rb"^tables_in:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


class Read(NamedTuple):
    """A table that reads others, and the file of its block."""

    table: Table
    report: Report


class TableFiles(NamedTuple):
    """By the table's name, a file each; and whether there is one that is no block."""

    found: Mapping[str, Report]
    unreadable: bool = False


def catalog_files(root: Path) -> list[Path]:
    """All files that the catalog is read from, and those beside them. Source files are not parsed for it: it is asked at
    every tick."""
    folder = root / SOURCES_FOLDER
    found = [root / PLATFORM_FILE, *(sorted(folder.iterdir()) if folder.is_dir() else ())]
    models = sorted((root / "catalog/models").glob("*.yaml"))
    if (people := root / "catalog/subjects.yaml").is_file():
        models.append(people)
    for path in [path for path in found if path.suffix == ".yaml" and path.is_file()]:
        if match := _TABLES_IN.search(path.read_bytes()):
            found += sorted((root / match[1].decode(errors="replace")).glob("*.y*ml"))
    return found + models


def table_files(
    root: Path, data: Mapping[str, Any], report: Report, read: Callable[[Path, str], Report | None]
) -> TableFiles:
    """The files of ``tables_in``: each is a table's block, and its mistakes are told where they are written."""
    folder = data.get("tables_in")
    if not isinstance(folder, str) or report.has(("tables_in",)):
        return TableFiles({})
    if not (root / folder).is_dir():
        report.add(("tables_in",), f"there is no folder {folder} in the project's folder")
        return TableFiles({})
    found: dict[str, Report] = {}
    unreadable = False
    for path in sorted((root / folder).glob("*.y*ml")):
        file = path.relative_to(root).as_posix()
        if path.suffix != ".yaml":
            report.add(("tables_in",), f"{file} is ignored: files of tables must end in .yaml; rename it")
        elif (own := read(path, file)) is None:
            unreadable = True
        else:
            block = {"tables": {path.stem: own.document.data}}
            own.document = replace(own.document, data=block, moved={("tables", path.stem): ()})
            found[path.stem] = own
    return TableFiles(found, unreadable)


def check_reads(sources: dict[str, Source], reads: Mapping[TableId, Read], mistakes: list[Mistake]) -> None:
    """Report inputs that the catalog does not have, and take their sources out of ``sources``."""
    known = {table.id for source in sources.values() for table in source.tables.values()}
    wrong: set[str] = set()
    for id_, (table, report) in reads.items():
        base = ("tables", id_.table, "inputs")
        at = Mistake(report.file, report.document.line(base), path_text(report.document.written(base)), "")
        for read in table.settings.reads:
            if read.source == id_.source:
                problem = f"names {read}, which is a table of the same source: read those of others"
            elif read.source not in sources and sources[id_.source].optional:
                continue  # a company without that source may have no Spark either; a sync of it names what is missing
            elif read not in known:
                near = did_you_mean(str(read), map(str, known))
                problem = f"names {read}, which is no table of the catalog.{near}"
            else:
                continue
            mistakes.append(Mistake(at.file, at.line, at.path, problem))
            wrong.add(id_.source)
    for source in wrong:
        del sources[source]
