"""What is known of the health of an environment: gathered from the ledger, the warehouse, the backups and what the graph keeps.

Reads; only ``keep`` and ``write_page`` write. No source is contacted.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

from data_platform.alerts.config import ui_address
from data_platform.catalog import Table
from data_platform.errors import ConfigurationError, DataPlatformError, WarehouseError
from data_platform.landing import hint
from data_platform.observability.config import DEFAULT_PATH, StatusPageConfig
from data_platform.observability.health import assess
from data_platform.observability.page import render
from data_platform.observability.record import (
    KEY,
    Built,
    GraphRecord,
    Model,
    extended,
    from_fields,
    to_fields,
)
from data_platform.observability.trust import Backups, Check, Copy, Health, Point, Series, Thing, Wal
from data_platform.observability.words import moment
from data_platform.private_files import make_private
from data_platform.quality.evaluated import from_text, sentence
from data_platform.sync import backup, wal
from data_platform.sync.figures import compute
from data_platform.sync.incidents import open_incidents
from data_platform.sync.platform import Platform
from data_platform.sync.series import tracked
from data_platform.sync.status import TableStatus, ask_warehouse, instant, look
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.archive import no_archive
from data_platform.warehouses.dialect import counts

COMPLETE = "complete"
"""The check that compares a table with its source."""
DRILL = "restore_drill/warehouse"


def place(platform: Platform) -> Path:
    """The file of the status page."""
    config = platform.environment.status_page or StatusPageConfig()
    return platform.catalog.root / (config.path or DEFAULT_PATH)


def recorded(platform: Platform) -> GraphRecord | None:
    """What the graph kept last; None if it kept nothing, or what lies there is not intact."""
    return from_fields(hint.read(platform.store, KEY, platform.signer))


def keep(platform: Platform, record: GraphRecord) -> None:
    """Keep ``record`` for the command line, in the place of the last one."""
    hint.write(platform.store, KEY, to_fields(record), platform.signer)


def examine(platform: Platform, record: GraphRecord | None) -> Health:
    """The health of everything as of now. Without a ``record``, models and the results of checks are unknown."""
    now, ids = platform.clock(), list(platform.catalog.table_ids())
    loaded, trouble = ask_warehouse(platform, ids)
    looks = platform.ledger.looks()
    statuses = platform.store.together([partial(look, platform, one, loaded, now, looks) for one in ids])
    notes = [str(trouble)] if trouble else []
    if (missing := _missing(platform, record, now)) is not None:
        notes.append(missing)
    found: list[Thing] = []
    series: list[Series] = []
    try:
        with platform.warehouse(read_only=True) as warehouse:
            figures = tracked(warehouse)
            found = [
                replace(one, tracked=figures.get(one.relation.lower(), ()))
                for one in _things(platform, statuses, record, warehouse)
            ]
            series = [compute(warehouse, one) for one in platform.catalog.figures]
    except WarehouseError as error:
        found = _things(platform, statuses, record, None)
        series = [
            Series(one.name, one.relation, one.unit, one.description, error="the warehouse could not be read")
            for one in platform.catalog.figures
        ]
        if not trouble:
            notes.append(str(error))
    notes += platform.catalog.left_out
    incidents, trouble_of_book = open_incidents(platform)
    notes += trouble_of_book
    return assess(found, series, _backups(platform, record), now, platform.environment.name, incidents, notes)


def _missing(platform: Platform, record: GraphRecord | None, now: datetime) -> str | None:
    """A sentence on what ``record`` does not say; None if it is of now."""
    if record is None:
        return (
            "The graph has recorded no models and checks yet. `make demo` does, and so does materializing"
            " `observability/status_page`."
        )
    config = platform.environment.status_page or StatusPageConfig()
    if now - record.at <= timedelta(hours=config.stale_hours):
        return None
    return (
        f"The graph's record of models and checks is of {moment(record.at)}, and nothing is known of them since. Materialize"
        " `observability/status_page`; `data-platform doctor` says whether the daemon is alive."
    )


def with_history(record: GraphRecord, health: Health) -> GraphRecord:
    """``record`` with the loads and builds that ``health`` knows."""
    return replace(
        record,
        history={one.thing.relation.lower(): one.thing.history for one in health.judged if one.thing.history},
    )


def write_page(platform: Platform, health: Health, path: Path | None = None) -> Path:
    """Write the page, as a whole or not at all, readable by this account alone; returns its path."""
    target = path or place(platform)
    config = platform.environment.status_page or StatusPageConfig()
    ui_url = ui_address(platform.environment.alerts, platform.environ)
    html = render(health, ui_url, timedelta(hours=config.stale_hours))
    try:
        make_private(target.parent)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(html)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationError(
            f"The status page {target} cannot be written: {error.strerror}. Change `status_page: path:` in"
            " catalog/platform.yaml, or let this account write there."
        ) from None
    return target


def _things(
    platform: Platform,
    statuses: Sequence[TableStatus],
    record: GraphRecord | None,
    warehouse: Warehouse | None,
) -> list[Thing]:
    evaluated = _evaluated(platform, warehouse)
    tables = [_table(platform, one, record, evaluated.get(one.table, ())) for one in statuses]
    models = list(record.models) if record else []
    labels = {one.relation.lower(): one.label for one in tables} | {
        one.relation.lower(): one.relation for one in models
    }
    rows = _rows(warehouse, models)
    by_label = {one.label: one for one in tables}
    things = list(tables)
    for model in models:
        assert record is not None
        upstream = tuple(labels[one.lower()] for one in model.upstream if one.lower() in labels)
        things.append(_model(model, upstream, record, rows.get(model.relation.lower())))
    above = {one.label: one for one in things}
    return [_placed(one, above, by_label) if one.kind != "table" else one for one in things]


def _table(
    platform: Platform, one: TableStatus, record: GraphRecord | None, evaluated: Sequence[Check]
) -> Thing:
    table = platform.catalog.table(one.table)
    asset = f"raw/{one.table}"
    changed = instant(one.loaded.at) if one.loaded and one.loaded.at else None
    checks = _newest((record.checks.get(asset, ()) if record else ()), evaluated)
    known = {check.name for check in checks}  # a rule that nobody has evaluated yet is unknown, not absent
    checks += tuple(Check(rule.name, "unknown") for rule in table.rules if rule.name not in known)
    checks += _at_source(table, record)
    relation = table.id.raw_name
    point = None
    if one.loaded and changed:
        seconds = None
        if one.head and one.head.sequence == one.loaded.sequence:
            seconds = max(0.0, (changed - instant(one.head.snapshot.taken_at)).total_seconds())
        point = Point(changed, one.loaded.rows, seconds)
    return Thing(
        label=str(one.table),
        relation=relation,
        kind="table",
        domain=one.table.source,
        owner=table.owner,
        link=_link(asset),
        seen_at=one.looked_at,
        changed_at=changed,
        fresh_for=one.freshness,
        failure=one.failure,
        behind=one.behind,
        checks=tuple(check for check in checks if check.name != COMPLETE),
        complete=next((check for check in checks if check.name == COMPLETE), None),
        provable=table.proved,
        rows=one.loaded.rows if one.loaded else None,
        history=extended(record.history.get(relation.lower(), ()) if record else (), point),
        error=one.error,
    )


def _model(model: Model, upstream: tuple[str, ...], record: GraphRecord, rows: int | None) -> Thing:
    name = model.relation.lower()
    built: Built | None = record.built.get(name)
    results = {one.name: one for one in record.checks.get(model.asset, ())}
    return Thing(
        label=model.relation,
        relation=model.relation,
        kind="view" if model.view else "model",
        domain=model.domain,
        owner=model.owner,
        link=_link(model.asset),
        upstream=upstream,
        seen_at=built.at if built else None,
        changed_at=built.at if built else None,
        checks=tuple(results.get(test, Check(test, "unknown")) for test in model.tests),
        rows=rows,
        history=extended(
            record.history.get(name, ()), Point(built.at, rows, built.seconds) if built else None
        ),
    )


def _placed(model: Thing, above: Mapping[str, Thing], tables: Mapping[str, Thing]) -> Thing:
    """A model that belongs to no group is of the domain and the owner of the one source that it is made from."""
    seen: dict[str, None] = {}
    waiting = list(model.upstream)
    while waiting:
        label = waiting.pop()
        if label not in seen:
            seen[label] = None
            waiting += above[label].upstream
    raw = [tables[label] for label in seen if label in tables]
    domains, owners = {one.domain for one in raw}, {one.owner for one in raw}
    domain = model.domain or (domains.pop() if len(domains) == 1 else model.relation.partition(".")[0])
    owner = model.owner or (owners.pop() if len(owners) == 1 else None)
    return replace(model, domain=domain, owner=owner)


def _evaluated(platform: Platform, warehouse: Warehouse | None) -> dict[TableId, tuple[Check, ...]]:
    """What the rules found at the last load by the command line, which keeps it in the warehouse."""
    if warehouse is None:
        return {}
    found = {}
    known = set(platform.catalog.table_ids())
    for table, (_, text) in warehouse.recorded_rules().items():
        if table in known:
            found[table] = _rule_checks(platform.catalog.table(table), text)
    return found


def _rule_checks(table: Table, text: str) -> tuple[Check, ...]:
    try:
        evaluated = from_text(text, table)
    except (ValueError, KeyError, TypeError):
        return ()
    at = instant(evaluated.at)
    if evaluated.problem:
        return tuple(Check(rule.name, "unknown", at=at, text=evaluated.problem) for rule in table.rules)
    return tuple(
        Check(
            one.rule.name,
            "unknown" if one.problem else "passed" if one.passed else "failed",
            one.rule.severity,
            at,
            text="" if one.passed else sentence(one),
        )
        for one in evaluated.rules
    )


def _at_source(table: Table, record: GraphRecord | None) -> tuple[Check, ...]:
    """The results of the rules that the source evaluates itself: only the graph keeps them."""
    kept = record.checks.get(f"source/{table.id}", ()) if record else ()
    found = {one.name: one for one in kept}
    return tuple(
        replace(found.get(rule.name, Check(rule.name, "unknown")), name=f"{rule.name} (at the source)")
        for rule in table.source_rules
    )


def _newest(recorded: Iterable[Check], evaluated: Iterable[Check]) -> tuple[Check, ...]:
    """The later result of each check; one that fails in both fails since the first."""
    found = {one.name: one for one in recorded}
    for one in evaluated:
        last = found.get(one.name)
        if last is None or last.at is None or (one.at is not None and one.at > last.at):
            since = last.since if last is not None and last.state == one.state else one.at
            found[one.name] = replace(one, since=since)
    return tuple(found.values())


def _rows(warehouse: Warehouse | None, models: Sequence[Model]) -> dict[str, int]:
    """Rows of the models that are tables, by relation in lower case."""
    if warehouse is None:
        return {}
    wanted = {one.relation.lower() for one in models if not one.view}
    stored = [
        (one.schema, one.name)
        for one in warehouse.describe()
        if f"{one.schema}.{one.name}".lower() in wanted and "view" not in one.kind.lower()
    ]
    found: dict[str, int] = {}
    for start in range(0, len(stored), 200):
        some = stored[start : start + 200]
        for number, rows in warehouse.query(counts(warehouse.dialect, some)).rows:
            found[".".join(some[number]).lower()] = rows
    return found


def _backups(platform: Platform, record: GraphRecord | None) -> Backups:
    config = platform.environment.backups
    if not platform.environment.warehouse.traits.archive:
        return Backups(absent=no_archive(platform.environment.warehouse), elsewhere=True)
    if config is None:
        return Backups(
            absent="this environment makes no backups: `backups:` in catalog/platform.yaml sets them up"
        )
    held: frozenset[str] = frozenset()
    try:
        copies = backup.newest(platform)
        best = max((one for one in copies if one.id), key=lambda one: str(one.id), default=None)
        if best is not None and best.id is not None:
            manifest = backup.archive(platform, best.archive).manifest(best.id)
            held = frozenset(table.label.lower() for table in manifest.tables)
        shown = tuple(Copy(one.archive, one.made_at, one.problem) for one in copies)
    except DataPlatformError as error:
        shown = (Copy("backups", None, str(error)),)
    drills = record.checks.get(DRILL, ()) if record else ()
    return Backups(
        copies=shown,
        held=held,
        max_age=timedelta(hours=config.max_age_hours),
        drill=drills[0] if drills else None,
        wal=_wal(platform),
    )


def _wal(platform: Platform) -> tuple[Wal, ...]:
    return tuple(
        Wal(source, state.archive, state.recoverable_until, state.trouble)
        for source in wal.received(platform)
        for state in wal.states(platform, source)
    )


def _link(asset: str) -> str:
    return "/assets/" + "/".join(quote(part, safe="") for part in asset.split("/"))
