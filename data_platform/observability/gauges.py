"""Health as numbers for machines: names, labels and values. Pure; ``prometheus.py`` and ``statsd.py`` send them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from data_platform.observability.trust import ASPECTS, Health, Judged, State

STATES: Mapping[State, int] = {"ok": 0, "warn": 1, "unknown": 2, "bad": 3}
"""Worse is more. An aspect about which nobody could say anything has no value."""
PREFIX = "data_platform_"


@dataclass(frozen=True, slots=True)
class Gauge:
    """``labels`` of every gauge of one name have the same keys."""

    name: str
    value: float
    labels: Mapping[str, str]


DESCRIPTIONS: Mapping[str, str] = {
    "examined_timestamp_seconds": "When the health was examined.",
    "examined_seconds": "How long that took.",
    "examination_failed": "1 if the last attempt to examine it failed; the other values are then older.",
    "state": "Whether the data can be believed: 0 yes, 1 with care, 2 not known, 3 no.",
    "table_state": "The same of one table or model, with all that it is made from.",
    "aspect_state": "One aspect of a table or model by itself: fresh, checked, complete or backed_up.",
    "table_rows": "Rows of a table or model.",
    "table_seen_timestamp_seconds": "When its source was last read, or when it was built.",
    "table_changed_timestamp_seconds": "When its rows last changed.",
    "table_batches_behind": "Batches that landed and are not loaded.",
    "table_load_seconds": "How long its last load or build took.",
    "checks": "Checks of a table or model, by their last result.",
    "backup_timestamp_seconds": "When the newest good backup in a copy was made.",
    "backup_problem": "1 if a copy holds no good backup or could not be read.",
    "wal_heartbeat_timestamp_seconds": "Every commit of a source until then is in a store's WAL: now minus it is the RPO.",
    "wal_problem": "1 if a store holds no WAL of a source, lacks a segment of it or could not be read.",
    "incidents": "Open incidents.",
    "figure": "The newest value of a business figure.",
    "figure_state": "Whether a business figure can be believed, as in state.",
}
"""By name without its prefix."""


def gauges(health: Health, seconds: float) -> Iterator[Gauge]:
    """``seconds``: how long examining took."""
    yield _gauge("examined_timestamp_seconds", health.at)
    yield _gauge("examined_seconds", seconds)
    yield examination(failed=False)
    yield _gauge("state", STATES.get(health.state, STATES["unknown"]))
    for one in health.judged:
        yield from _of_table(one)
    for copy in health.backups.copies:
        if copy.made_at is not None:
            yield _gauge("backup_timestamp_seconds", copy.made_at, copy=copy.name)
        yield _gauge("backup_problem", bool(copy.problem) or copy.made_at is None, copy=copy.name)
    for wal in health.backups.wal:
        if wal.heartbeat_at is not None:
            yield _gauge(
                "wal_heartbeat_timestamp_seconds", wal.heartbeat_at, source=wal.source, store=wal.store
            )
        yield _gauge("wal_problem", bool(wal.problem), source=wal.source, store=wal.store)
    if health.incidents is not None:
        for severity in ("error", "warn"):
            found = sum(one.severity == severity for one in health.incidents)
            yield _gauge("incidents", found, severity=severity)
    for figure in health.figures:
        named = {"figure": figure.series.name, "relation": figure.series.relation}
        if figure.series.points:
            yield _gauge("figure", figure.series.points[-1][1], **named)
        yield _gauge("figure_state", STATES.get(figure.trust.state, STATES["unknown"]), **named)


def examination(*, failed: bool) -> Gauge:
    return _gauge("examination_failed", failed)


def _of_table(one: Judged) -> Iterator[Gauge]:
    thing = one.thing
    table = {"table": thing.label, "domain": thing.domain, "owner": thing.owner or ""}
    yield _gauge("table_state", STATES.get(one.trust.state, STATES["unknown"]), **table)
    for name, aspect in zip(ASPECTS, one.own.aspects, strict=True):
        if aspect.state in STATES:
            yield _gauge("aspect_state", STATES[aspect.state], **table, aspect=name)
    if thing.rows is not None:
        yield _gauge("table_rows", thing.rows, **table)
    if thing.seen_at is not None:
        yield _gauge("table_seen_timestamp_seconds", thing.seen_at, **table)
    if thing.changed_at is not None:
        yield _gauge("table_changed_timestamp_seconds", thing.changed_at, **table)
    if thing.behind is not None:
        yield _gauge("table_batches_behind", thing.behind, **table)
    if thing.history and thing.history[-1].seconds is not None:
        yield _gauge("table_load_seconds", thing.history[-1].seconds, **table)
    for result in ("passed", "failed", "unknown"):
        found = sum(check.state == result for check in thing.checks)
        yield _gauge("checks", found, **table, result=result)


def _gauge(name: str, value: float | datetime, **labels: str) -> Gauge:
    number = value.timestamp() if isinstance(value, datetime) else float(value)
    return Gauge(PREFIX + name, number, labels)
