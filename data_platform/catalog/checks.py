"""Checks that a JSON Schema cannot express: keys, personal columns, rules, time. Offline.

Each check takes well-formed parts of a source's file and adds to the report what does
not fit together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from os.path import normpath
from pathlib import Path as ProjectPath
from typing import Any

from data_platform.backups.config import BackupsConfig
from data_platform.catalog.cron import cron_problem
from data_platform.catalog.environment import EnvironmentSettings
from data_platform.catalog.files import SourceFile, TableBlock
from data_platform.catalog.keystore_checks import check_keystore
from data_platform.catalog.mistakes import Report, did_you_mean
from data_platform.catalog.rule_checks import check_rules
from data_platform.catalog.run_checks import check_reach
from data_platform.catalog.yaml_reader import Path
from data_platform.observability.config import FigureConfig
from data_platform.privacy.documents import path_of, root_of
from data_platform.privacy.names import of_name
from data_platform.sources.kind import Kind
from data_platform.stores import StoreConfig
from data_platform.tables import BATCH_ID, LOADED_AT, RULE_PREFIX, SOURCE_XMIN
from data_platform.warehouses import PLATFORM_SCHEMA
from data_platform.warehouses.publishing import NO_NEED
from data_platform.warehouses.snapshots import problem as snapshots_problem

RESERVED_SOURCES = ("data_platform",)
"""The platform's own tables are a dbt source of this name."""


def check_source(raw: Mapping[str, Any], report: Report, partitioned: bool) -> None:
    """``raw`` is the file as written, so that a mistake in one key hides no mistake in another.
    ``partitioned``: one of its tables has a partition column."""

    def text(key: str) -> str | None:
        value = raw.get(key)
        return value if isinstance(value, str) and not report.has((key,)) else None

    if text("source") in RESERVED_SOURCES:
        report.add(("source",), "is a name that the platform uses itself; choose another name")
    timezone = text("timezone")
    if timezone is not None and (problem := _timezone_problem(timezone)):
        report.add(("timezone",), problem)
    for key in ("schedule", "reconcile"):
        line = text(key)
        if line is not None and (problem := cron_problem(line)):
            report.add((key,), problem)
    if partitioned and raw.get("start") is None:
        report.add(
            ("start",),
            "is missing. A table has a `partition`, so give the first day, such as start: 2024-01-31",
        )


def check_optional(head: SourceFile, report: Report) -> None:
    """A source that needs no variable is always configured."""
    if head.optional and not report.has(("optional",)) and not head.connection.variables({}):
        report.add(
            ("optional",),
            "is for a source whose `connection` names environment variables: without any it is always there. Take the line"
            " out",
        )


def check_reconcile(head: SourceFile, blocks: Mapping[str, TableBlock], kind: Kind, report: Report) -> None:
    """A schedule on which nothing could be compared would do nothing, and look as if it did."""
    if head.reconcile is None or report.has(("reconcile",)):
        return
    abilities = [
        block.settings(name, head, blocks).can or kind.capabilities for name, block in blocks.items()
    ]
    if abilities and not any(can.proof != "none" or can.deletes == "refresh" for can in abilities):
        report.add(
            ("reconcile",),
            f"compares whole tables with the source, and {kind.title} counts none of these; leave it out",
        )


def check_backups(head: SourceFile, kind: Kind, report: Report) -> None:
    if head.backups is None or head.backups.database is None or report.has(("backups",)):
        return
    if kind.server is None:
        report.add(
            ("backups", "database"),
            f"the kind {kind.title} has no server that could be backed up; take the block out",
        )
    elif problem := cron_problem(head.backups.database.drill_schedule):
        report.add(("backups", "database", "drill_schedule"), problem)


def check_environment(environment: EnvironmentSettings, report: Report, base: Path) -> None:
    """Report stores in the same place: a copy there would be no second copy. And what runs elsewhere could not reach.
    ``base`` is the environment's path."""
    _check_publish(environment, report, (*base, "publish"))
    _check_status_page(environment, report, (*base, "status_page", "path"))
    stores: list[tuple[str, Path, StoreConfig]] = [("the landing store", ("landing",), environment.landing)]
    if (export := environment.iceberg) is not None:
        if problem := cron_problem(export.schedule):
            report.add((*base, "iceberg", "schedule"), problem)
        if not environment.warehouse.traits.archive:
            report.add(
                (*base, "iceberg"),
                f"a warehouse of the kind {environment.warehouse.kind} cannot be read out table by table, so nothing of it"
                " can be exported: use the engine's own Iceberg tables, and take this block out",
            )
        if export.catalog.kind == "sql" and (export.catalog.path is None) == (export.catalog.url_env is None):
            report.add((*base, "iceberg", "catalog"), "give either `path` or `url_env`")
    if environment.backups is not None:
        stores += _check_backups(environment, environment.backups, report, (*base, "backups"))
    if getattr(environment.landing, "lock_days", None):
        report.add(
            (*base, "landing", "lock_days"),
            "the landing store is not locked: erasure and rules remove objects of it. Lock the backup store or a copy of it",
        )
    _check_places(stores, report, base)
    if environment.keystore is not None:
        check_keystore(environment.keystore, [store for _, _, store in stores], report, (*base, "keystore"))
    check_reach(environment, stores, report, base)


def _check_backups(
    environment: EnvironmentSettings, backups: BackupsConfig, report: Report, base: Path
) -> list[tuple[str, Path, StoreConfig]]:
    """Report schedules and abilities; returns the stores, each with a name and its path within the environment."""
    names = ("schedule", "drill_schedule", "copies_schedule", "landing_schedule")
    lines: dict[Path, str] = {(name,): getattr(backups, name) for name in names}
    for name in backups.offsite:
        if name not in backups.stores:
            report.add((*base, "offsite"), f"there is no copy {name!r} under `copies`")
    lines["everything", "drill_schedule"] = backups.everything.drill_schedule
    stores: list[tuple[str, Path, StoreConfig]] = [("the backup store", ("backups", "store"), backups.store)]
    stores += [
        (f"the copy {name}", ("backups", "copies", name), copy) for name, copy in backups.copies.items()
    ]
    if (archive := backups.archive) is not None:
        lines |= {("archive", key): getattr(archive, key) for key in ("schedule", "drill_schedule")}
        if archive.cold is not None:
            lines["archive", "cold", "schedule"] = archive.cold.schedule
            stores.append(("the cold copy", ("backups", "archive", "cold", "store"), archive.cold.store))
    if backups.tiers is not None:
        lines["tiers", "schedule"] = backups.tiers.schedule
        if not any(store.tiered for store in (environment.landing, *backups.stores.values())):
            report.add(
                (*base, "tiers"),
                "moves objects between storage classes, and no store of this environment has any: take it out",
            )
    for path, line in lines.items():
        if problem := cron_problem(line):
            report.add((*base, *path), problem)
    if backups.snapshots is not None and (problem := snapshots_problem(environment.warehouse)):
        report.add((*base, "snapshots"), problem)
    return stores


def _check_places(stores: list[tuple[str, Path, StoreConfig]], report: Report, base: Path) -> None:
    for number, (name, path, store) in enumerate(stores):
        for other, _, kept in stores[:number]:
            mine, theirs = store.place(), kept.place()
            shorter = min(len(mine), len(theirs))
            if mine[:shorter] == theirs[:shorter]:
                report.add(
                    (*base, *path), f"{name} is in the same place as {other}: give it a place of its own"
                )


def _check_publish(environment: EnvironmentSettings, report: Report, base: Path) -> None:
    """Report a publication that nobody needs, or in a place where something else lies."""
    publish, warehouse = environment.publish, environment.warehouse
    if publish is None:
        return
    if not warehouse.traits.publishes:
        report.add(base, f"{NO_NEED.format(kind=warehouse.kind)}: take it out")
        return
    root = ProjectPath("/")
    mine = root / normpath(publish.path)
    if mine in [root / normpath(file) for file in warehouse.files(root)]:
        report.add((*base, "path"), "is the warehouse itself: name another file")
    backups = environment.backups
    stores = [environment.landing, *(backups.stores.values() if backups else [])]
    for folder in (root / normpath(folder) for store in stores for folder in store.files(root)):
        if mine.is_relative_to(folder):
            report.add(
                (*base, "path"), f"lies in {folder.name}, the folder of a store: name a file elsewhere"
            )
    if not publish.schemas and not report.has((*base, "schemas")):
        report.add((*base, "schemas"), "is empty: name at least one schema, or leave it out for `marts`")
    for number, listed in enumerate(publish.schemas):
        if listed.partition(".")[0] == PLATFORM_SCHEMA:
            report.add(
                (*base, "schemas", number), "holds the platform's own records, which are not published"
            )


def _check_status_page(environment: EnvironmentSettings, report: Report, path: Path) -> None:
    """Report a page in a place where something else lies."""
    if environment.status_page is None or environment.status_page.path is None:
        return
    root = ProjectPath("/")
    mine = root / normpath(environment.status_page.path)
    publish = environment.publish
    taken = [*environment.warehouse.files(root), *([root / publish.path] if publish else [])]
    if mine in [root / normpath(file) for file in taken]:
        report.add(path, "is the file of the warehouse or of the publication: name another one")
    backups = environment.backups
    stores = [environment.landing, *(backups.stores.values() if backups else [])]
    for folder in (root / normpath(folder) for store in stores for folder in store.files(root)):
        if mine.is_relative_to(folder):
            report.add(path, f"lies in {folder.name}, the folder of a store: name a file elsewhere")


def check_figures(figures: Sequence[FigureConfig], report: Report) -> None:
    """Each figure has a name of its own."""
    seen: dict[str, int] = {}
    for number, figure in enumerate(figures):
        first = seen.setdefault(figure.name, number)
        if first != number:
            report.add(
                ("figures", number, "name"),
                f"is the name of the figure number {first + 1} too: give it another name",
            )


def check_table(block: TableBlock, raw: Mapping[str, Any], report: Report, base: Path) -> None:
    """``raw`` is the block as written, ``base`` its path."""

    def add(path: Path, message: str) -> None:
        report.add((*base, *path), message)

    def right(*keys: str) -> bool:
        """Whether these keys have no known mistake, so that no mistake is reported twice."""
        return not any(report.has((*base, key)) for key in keys)

    if right("key", "strategy") and not _misspelled_key(raw, report, base):
        if not (block.key or block.default_key({})) and block.strategy != "replace":
            why = "replaces rows by key" if block.strategy == "merge" else "only adds keys that are absent"
            add(
                ("key",),
                f"is missing. The strategy {block.strategy} {why}: name the columns that identify a row, or set"
                " strategy: replace, which reads the whole table each time",
            )
        for position, column in enumerate(block.key):
            if column in block.key[:position]:
                add(("key", position), f"names the column `{column}` twice")
    _check_treatments(block, add)
    _check_sealed(block, add)
    _check_retention(block, add)
    if block.schedule is not None and (problem := cron_problem(block.schedule)):
        add(("schedule",), problem)
    well_formed = {key for key in raw if right(key)}
    if right("cursor"):
        for path, message in block.mistakes(block, well_formed):
            add(path, message)
    check_rules(block, report, base)
    declared = raw.get("personal")
    keys = set(declared) if isinstance(declared, Mapping) else set()
    names = keys | {root for key in keys if isinstance(key, str) and (root := root_of(key))}
    for column, treatment in block.guesses(raw).items():
        report.ask(
            (*base, "personal", column),
            f"is `{treatment}?`, an unconfirmed guess of `discover`",
        )
    if block.only and right("only"):
        for column, path in _named_columns(block, raw):
            if column not in block.only:
                add(
                    path,
                    f"names `{column}`, which is not read because `only` leaves it out; add it to `only` or take it"
                    " away here",
                )
    relation = block.name_at_source(str(base[-1]))
    for column, path in _named_columns(block, raw):
        if column in (BATCH_ID, LOADED_AT, SOURCE_XMIN) or column.startswith(RULE_PREFIX):
            add(
                path,
                f"names `{column}`, which the platform adds to every raw table itself; read a view that renames it",
            )
        elif (
            column not in names
            and not _treated_within(block.path_of(column), keys)
            and (reason := of_name(column, relation))
        ):
            near = did_you_mean(column, names)
            report.add(
                (*base, "personal", column),
                f"is missing. The column `{column}` looks like {reason}, and no treatment is given."
                f"{near} Declare it under `personal` as hash, seal, mask or redact, as keep if its values may land unchanged, or as not_personal if only its name looks so",
                report.document.line((*base, *path)),
            )


def _timezone_problem(name: str) -> str | None:
    if name == "UTC":  # the most common one, without the cost of loading time zones
        return None
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name is a folder of zones
        near = did_you_mean(name, available_timezones())
        return f"is not a time zone.{near} Write its IANA name, such as UTC or Europe/Berlin"
    return None


def _misspelled_key(raw: Mapping[str, Any], report: Report, base: Path) -> bool:
    """Whether an unknown key of the block is probably a misspelled `key`: then that is the only mistake."""
    return any(report.has((*base, name)) and "`key`" in did_you_mean(name, ("key",)) for name in raw)


def _check_treatments(block: TableBlock, add: Any) -> None:
    treated = {column: t for column, t in block.treatments.items() if t != "keep"}
    places: list[tuple[Path, str | None, str]] = [
        (("partition",), block.partition, "its day must be readable to cut the table into partitions"),
        (("cursor",), block.cursor, "its greatest value is kept as the watermark"),
    ]
    places += [(one.key, one.column, one.why_clear) for one in block.checked_columns()]
    for path, column, why in places:
        if column in treated:
            add(
                path,
                f"the column `{column}` is treated as {treated[column]} under `personal`, and {why}; choose another column or keep",
            )
    for position, column in enumerate(block.key):
        if treated.get(column) in ("mask", "redact"):
            add(
                ("key", position) if len(block.key) > 1 else ("key",),
                f"the column `{column}` is treated as {treated[column]} under `personal`, which makes different rows"
                " equal; use hash for a key",
            )


def _check_sealed(block: TableBlock, add: Any) -> None:
    sealed = [column for column, treatment in block.personal.items() if treatment == "seal"]
    if sealed and block.subject is None:
        add(
            ("subject",),
            f"is missing. `{sealed[0]}` is sealed under a key of the person whom a row is about: name the column that says which"
            " person that is, such as subject: user_id",
        )
    for position, column in enumerate(block.key):
        if column in sealed:
            add(
                ("key", position) if len(block.key) > 1 else ("key",),
                f"the column `{column}` is sealed under `personal`, so a row that becomes another person's would get another key"
                " value; use hash for a key",
            )


def _check_retention(block: TableBlock, add: Any) -> None:
    rule = block.retention
    if rule is None:
        return
    if block.treatment(rule.by) != "keep":
        add(
            ("retention", "by"),
            f"names `{rule.by}`, which does not land in clear, so it does not say how old a row is",
        )
    if rule.then == "anonymise" and not (block.key or block.default_key({})):
        add(
            ("retention", "then"),
            "is anonymise, and the table has no key: rows without a key are told apart by all that they hold, so one that is emptied is"
            " another row. Give the table a key, or use then: delete",
        )
    for position, column in enumerate(rule.columns):
        if column in (block.partition, block.cursor):
            add(
                ("retention", "columns", position),
                f"names `{column}`, by which the table is read and compared with its source. Leave it out, or use then: delete",
            )
        if column in block.key:
            add(
                ("retention", "columns", position),
                f"names `{column}`, a column of the key: a row without it is another row. Use then: delete",
            )


def _treated_within(path: str, declared: Collection[Any]) -> bool:
    """Whether a treatment is declared for the value at ``path``, or for one that holds it."""
    at = path_of(path, ())
    return any(isinstance(key, str) and at[: len(path_of(key, ()))] == path_of(key, ()) for key in declared)


def _named_columns(block: TableBlock, raw: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Every column that the block names, and where it names it."""
    for column in block.key:
        yield column, ("key",)
    if block.cursor is not None:
        yield block.cursor, ("cursor",)
    if block.partition is not None:
        yield block.partition, ("partition",)
    if block.subject is not None:
        yield block.subject.column, ("subject",)
    for column in block.cluster:
        yield column, ("cluster",)
    if block.retention is not None:
        for column in (block.retention.by, *block.retention.columns):
            yield column, ("retention",)
    for checked in block.checked_columns():
        yield checked.column, checked.key
    for key, named in {"columns": block.columns, **block.named_columns(), "personal": block.personal}.items():
        for column in named:
            yield (root_of(column) if key == "personal" else None) or column, (key, column)
    for key, rules in (("rules", block.rules), ("source_rules", block.source_rules)):
        for column in (column for rule in rules for column in rule.columns):
            yield column, (key,)
