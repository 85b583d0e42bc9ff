"""The folder ``catalog/`` -> ``Catalog``: finds the files, reads each, combines them."""

from __future__ import annotations

import gc
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from data_platform.catalog.checks import (
    check_backups,
    check_environment,
    check_figures,
    check_optional,
    check_reconcile,
    check_source,
    check_table,
)
from data_platform.catalog.environment import Environment, EnvironmentSettings
from data_platform.catalog.fields import NAME, NAME_LENGTH_MAX
from data_platform.catalog.files import PlatformFile, SourceFile, TableBlock, source_head, table_block
from data_platform.catalog.keystore_checks import check_sealed
from data_platform.catalog.mistakes import Mistake, Report, did_you_mean, find_secrets, validated
from data_platform.catalog.model_files import read_models
from data_platform.catalog.models import Catalog
from data_platform.catalog.reads import (
    PLATFORM_FILE,
    SOURCES_FOLDER,
    Read,
    catalog_files,
    check_reads,
    table_files,
)
from data_platform.catalog.rule_checks import check_references, check_rules_fit, check_source_rules
from data_platform.catalog.run_checks import check_synced
from data_platform.catalog.schema import json_schemas, node_at, source_schema
from data_platform.catalog.source import Source, SourceSettings
from data_platform.catalog.subject_file import SUBJECTS_FILE, check_exports, read_subjects
from data_platform.catalog.table import Table, TableSettings
from data_platform.catalog.yaml_reader import read_yaml
from data_platform.errors import CatalogError, ConfigurationError
from data_platform.sources.kinds import MODULES, kind_of, rewritten
from data_platform.tables import TableId
from data_platform.warehouses import WarehouseConfig

HOME_VARIABLE = "DATA_PLATFORM_HOME"
CATALOGS_KEPT = 4
_known: dict[tuple[Path, bool], tuple[bytes, Catalog]] = {}
_NO_PARTITIONS = date(1970, 1, 1)  # `start` of a source without partitioned tables


def project_root(start: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The folder that holds ``catalog/platform.yaml``: DATA_PLATFORM_HOME, else ``start`` (the
    working folder) or the nearest folder above it, else the one this package stands in.

    ConfigurationError when there is none.
    """
    home = (os.environ if environ is None else environ).get(HOME_VARIABLE)
    if home:
        root = Path(home).expanduser().resolve()
        if not (root / PLATFORM_FILE).is_file():
            raise ConfigurationError(
                f"{HOME_VARIABLE} is {root}, which holds no {PLATFORM_FILE}. Set it to the project's"
                " folder, or unset it and work inside that folder."
            )
        return root
    first = (start or Path.cwd()).resolve()
    for folder in (first, *first.parents, Path(__file__).resolve().parents[2]):
        if (folder / PLATFORM_FILE).is_file():
            return folder
    raise ConfigurationError(
        f"No {PLATFORM_FILE} in {first} or a folder above it. Work inside the project's folder, or set"
        f" {HOME_VARIABLE} to it."
    )


def load_catalog(root: Path, *, whole: bool = True) -> Catalog:
    """Everything under ``root/catalog``; CatalogError with every mistake of every file. Without
    ``whole``, a source file with a mistake is left out, and the mistake is in ``left_out``.

    Reads no environment variable and connects to nothing. A process that asks again is given the same Catalog
    until a byte of its files is another: each tick of each sensor asks.
    """
    root = root.resolve()
    written = _digest(root)
    known = _known.get((root, whole))
    if known is not None and known[0] == written:
        return known[1]
    with _without_collector():
        catalog = _load(root, whole)
    if written is not None and written == _digest(root):  # nobody wrote while it was read
        if len(_known) >= CATALOGS_KEPT:
            _known.clear()
        _known[root, whole] = written, catalog
    return catalog


def _digest(root: Path) -> bytes | None:
    """A digest of the names and bytes of all files; None if one cannot be read."""
    digest = hashlib.blake2b(digest_size=32)
    try:
        for path in catalog_files(root):
            text = path.read_bytes() if path.is_file() else b""
            digest.update(f"{path.name}\0{len(text)}\0".encode(errors="surrogateescape") + text)
    except OSError:
        return None
    return digest.digest()


@contextmanager
def _without_collector() -> Iterator[None]:
    """No garbage collection while reading, since all that is read stays: it takes a third of the time for 2,000
    tables."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _load(root: Path, whole: bool) -> Catalog:
    mistakes: list[Mistake] = []
    platform, report = _read_platform(root, mistakes)
    readable = not mistakes
    warehouses = {name: one.warehouse for name, one in platform.environments.items()} if platform else {}
    sources: dict[str, Source] = {}
    reads: dict[TableId, Read] = {}
    ruled: dict[TableId, Read] = {}
    named: dict[str, str] = {}
    questions: list[Mistake] = []
    for path in _source_files(root, mistakes):
        source = _read_source(root, path, named, warehouses, mistakes, questions, reads, ruled)
        if source is not None:
            sources[source.name] = source
    check_reads(sources, reads, mistakes)
    check_references(sources, {id_: read for id_, read in ruled.items() if id_.source in sources}, mistakes)
    models = read_models(
        root,
        warehouses,
        sources,
        lambda path, file: _report(path, file, mistakes),
        lambda: json_schemas()["models.schema.json"],
        mistakes,
    )
    subjects = read_subjects(
        root,
        sources,
        named.keys() - sources.keys(),
        lambda path, file: _report(path, file, mistakes),
        lambda: json_schemas()["subjects.schema.json"],
        mistakes,
        questions,
    )
    if platform is not None and report is not None and readable and whole:
        check_synced(platform.environments, named, report)
        check_sealed(platform.environments, sources, report)
        if subjects or not (root / SUBJECTS_FILE).is_file():  # one with a mistake says so itself
            check_exports(platform.environments, subjects, report)
        mistakes += report.mistakes.values()
    told = [str(mistake) for mistake in sorted(mistakes)]
    if platform is None or not readable or (told and whole):
        raise CatalogError(told)
    environments = {
        name: Environment(name=name, **_fields(settings, EnvironmentSettings))
        for name, settings in platform.environments.items()
    }
    return Catalog(
        root=root,
        environments=environments,
        privacy=platform.privacy,
        figures=platform.figures,
        sources=sources,
        models=models,
        subjects=subjects,
        questions=tuple(str(question) for question in sorted(questions)),
        left_out=tuple(told),
    )


def _read_platform(root: Path, mistakes: list[Mistake]) -> tuple[PlatformFile | None, Report | None]:
    path = root / PLATFORM_FILE
    if not path.is_file():
        mistakes.append(Mistake(PLATFORM_FILE, 1, "", f"is missing in {root}; it defines the environments"))
        return None, None
    report = _report(path, PLATFORM_FILE, mistakes)
    if report is None:
        return None, None
    model = validated(
        PlatformFile, report.document.data, lambda: json_schemas()["platform.schema.json"], report
    )
    for name, settings in (model.environments if model else {}).items():
        check_environment(settings, report, ("environments", name))
    check_figures(model.figures if model else (), report)
    mistakes += report.mistakes.values()
    return model, report


def _source_files(root: Path, mistakes: list[Mistake]) -> list[Path]:
    folder = root / SOURCES_FOLDER
    if not folder.is_dir():
        return []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".yml", ".YAML", ".YML"):
            mistakes.append(
                Mistake(
                    path.relative_to(root).as_posix(),
                    1,
                    "",
                    "is ignored: source files must end in .yaml; rename it",
                )
            )
    return sorted(path for path in folder.glob("*.yaml") if not path.name.startswith("."))


def _read_source(
    root: Path,
    path: Path,
    named: dict[str, str],
    warehouses: Mapping[str, WarehouseConfig],
    mistakes: list[Mistake],
    questions: list[Mistake],
    reads: dict[TableId, Read],
    ruled: dict[TableId, Read],
) -> Source | None:
    """``named``: the sources so far and their files. Into ``reads`` goes where a table says what it reads, into ``ruled`` where
    one of its rules names another table."""
    file = path.relative_to(root).as_posix()
    report = _report(path, file, mistakes)
    if report is None:
        return None
    data: dict[str, Any] = report.document.data
    name, kind = data.get("source"), data.get("kind")
    if isinstance(name, str):
        if name in named:
            report.add(
                ("source",),
                f"the source `{name}` is also defined in {named[name]}: give one of them another name",
            )
        named.setdefault(name, file)
    if isinstance(kind, str) and kind not in MODULES:
        report.add(
            ("kind",),
            f"is not a kind of source.{did_you_mean(kind, MODULES)} Known: {', '.join(MODULES)}",
        )
    known = kind if isinstance(kind, str) and kind in MODULES else next(iter(MODULES))
    data = _rewritten(known, data, report)
    more = table_files(root, data, report, lambda path, file: _report(path, file, mistakes))
    optional = bool(more.found or more.unreadable) or report.has(("tables_in",))
    blocks = _read_blocks(data.get("tables"), known, report, optional)
    check_rules_fit(blocks, warehouses, report)
    reports = dict.fromkeys(blocks, report)
    for name, own in more.found.items():
        found = _read_blocks({name: own.document.data["tables"][name]}, known, own)
        check_rules_fit(found, warehouses, own)
        if name in blocks:
            own.add(("tables", name), f"the table is also defined in {file}: keep one of the two")
        blocks |= found
        reports[name] = own
    for name, block in blocks.items():
        if block.source_rules:
            check_source_rules(name, block, str(data.get("source")), kind_of(known), blocks, reports[name])
    head = validated(source_head(known), {**data, "tables": {}}, lambda: source_schema(known), report)
    check_source(data, report, any(block.partition is not None for block in blocks.values()))
    if head is not None:
        check_reconcile(head, blocks, kind_of(known), report)
        check_optional(head, report)
        check_backups(head, kind_of(known), report)
    for one in (report, *more.found.values()):
        mistakes += one.mistakes.values()
        questions += one.questions
    if head is None or more.unreadable or any(one.mistakes for one in (report, *more.found.values())):
        return None
    source = _source(head, blocks)
    reads |= {
        table.id: Read(table, reports[name]) for name, table in source.tables.items() if table.settings.reads
    }
    ruled |= {
        table.id: Read(table, reports[name])
        for name, table in source.tables.items()
        if any(rule.other or rule.sql for rule in table.rules)
    }
    return source


def _rewritten(kind: str, data: dict[str, Any], report: Report) -> dict[str, Any]:
    """``data`` in the platform's keys, where it is in another tool's words."""
    found = rewritten(kind, data)
    if found is None:
        return data
    for path, message in found.mistakes:
        report.add(path, message)
    report.document = replace(report.document, data=found.data, moved=found.moved)
    return dict(found.data)


def _read_blocks(tables: Any, kind: str, report: Report, optional: bool = False) -> dict[str, TableBlock]:
    """Read each table separately. A table with an invalid name is a mistake, and its block is still checked."""
    if tables is None or tables == {}:
        if not optional and not report.has(report.document.written(("tables",))):
            report.add(
                ("tables",),
                "is missing: give at least one table, each as a block (tables: {orders: {key: id}})",
            )
        return {}
    if not isinstance(tables, dict):
        report.add(("tables",), "must hold one block for each table, under the table's name")
        return {}
    blocks = {}
    model = table_block(kind)
    for name, raw in tables.items():
        base = ("tables", name)
        if not re.fullmatch(NAME, name) or len(name) > NAME_LENGTH_MAX:
            report.add(
                base,
                f"a table's name here is at most {NAME_LENGTH_MAX} lower-case letters, digits and single"
                " underscores, starting with a letter; write the name it has in the source under `relation`",
            )
        block = validated(model, {} if raw is None else raw, lambda: _table_schema(kind), report, base)
        if block is not None:
            check_table(block, raw if isinstance(raw, dict) else {}, report, base)
            blocks[name] = block
    return blocks


def _table_schema(kind: str) -> Mapping[str, Any]:
    whole = source_schema(kind)
    return {**node_at(whole, ("tables", "any")), "$defs": whole["$defs"]}


def _source(head: SourceFile, blocks: Mapping[str, TableBlock]) -> Source:
    start = head.start or _NO_PARTITIONS
    can = kind_of(head.kind).capabilities
    tables = {}
    for name, block in blocks.items():
        freshness = block.freshness_hours or head.freshness_hours
        settings = block.settings(name, head, blocks)
        tables[name] = Table(
            id=TableId(head.source, name),
            settings=settings,
            can=settings.can or can,
            checks=block.checks,
            description=block.description,
            owner=block.owner or head.owner,
            freshness_hours=freshness,
            schedule=block.schedule or head.schedule,
            probed=block.schedule is None,
            read_every_hours=block.read_every_hours
            or (freshness if block.schedule or head.schedule else freshness / 2),
            timezone=head.timezone,
            start=start,
            keep_replaced_days=block.keep_replaced_days,
            **{**_fields(block, TableSettings), "key": block.key or block.default_key(blocks)},
        )
    return Source(
        name=head.source,
        kind=head.kind,
        connection=head.connection,
        start=start,
        tables=tables,
        **_fields(head, SourceSettings),
    )


def _report(path: Path, file: str, mistakes: list[Mistake]) -> Report | None:
    """The content of the file; secrets in it are reported. None if it is not a mapping."""
    try:
        document = read_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        mistakes.append(Mistake(file, 1, "", "is not UTF-8 text; save it as UTF-8"))
        return None
    except OSError as error:
        mistakes.append(Mistake(file, 1, "", f"cannot be read: {error.strerror}"))
        return None
    report = Report(file, document)
    for line, where, message in document.mistakes:
        report.add(where, message, line)
    if not isinstance(document.data, dict):
        if not document.mistakes:
            report.add((), "is empty or not a block of `key: value` lines")
        mistakes += report.mistakes.values()
        return None
    find_secrets(report, document.data)
    return report


def _fields(given: BaseModel, model: type[BaseModel]) -> dict[str, Any]:
    """The fields of ``model`` that ``given`` has, as objects."""
    return {name: getattr(given, name) for name in model.model_fields}
