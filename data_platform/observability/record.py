"""What only the graph knows, kept for the command line: models, results of checks, times of builds, and a history. Pure.

The asset of the status page writes it into the landing store; ``data-platform health`` reads it. It is a cache: if it is lost,
the next run of the asset makes it again, without the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from data_platform.observability.trust import Check, Point

KEY = "health/graph.json"
"""Its place in the landing store. No folder of a table has two levels only."""
POINTS_KEPT = 60
TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class Model:
    """A dbt model: ``relation`` is its schema and name, ``asset`` its key in the graph, ``upstream`` are relations. ``tests`` are the
    names of its checks."""

    relation: str
    asset: str
    view: bool = False
    domain: str = ""
    owner: str | None = None
    upstream: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """The last build of a model: when it ended, and its seconds."""

    at: datetime
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class GraphRecord:
    """``checks``: the last result of each, by asset (``raw/shop/orders``). ``built`` and ``history``: by relation, in lower case."""

    at: datetime
    models: tuple[Model, ...] = ()
    checks: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    built: Mapping[str, Built] = field(default_factory=dict)
    history: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)


def extended(history: Sequence[Point], point: Point | None) -> tuple[Point, ...]:
    """``history`` and the newest load or build, if it is another one."""
    if point is None or (history and point.at <= history[-1].at):
        return tuple(history)
    return (*history, point)[-POINTS_KEPT:]


def to_fields(record: GraphRecord) -> dict[str, Any]:
    """The record as JSON."""
    return {
        "at": record.at.isoformat(),
        "models": [
            {
                "relation": one.relation,
                "asset": one.asset,
                "view": one.view,
                "domain": one.domain,
                "owner": one.owner,
                "upstream": list(one.upstream),
                "tests": list(one.tests),
            }
            for one in record.models
        ],
        "checks": {asset: [_check_fields(one) for one in some] for asset, some in record.checks.items()},
        "built": {name: [one.at.isoformat(), one.seconds] for name, one in record.built.items()},
        "history": {
            name: [[one.at.isoformat(), one.rows, one.seconds] for one in points]
            for name, points in record.history.items()
        },
    }


def from_fields(fields: Mapping[str, Any]) -> GraphRecord | None:
    """None if ``fields`` are none of ``to_fields``: anybody who can write to the store could write anything."""
    try:
        return GraphRecord(
            at=_instant(fields["at"]),
            models=tuple(_model(one) for one in fields["models"]),
            checks={str(asset): tuple(map(_check, some)) for asset, some in fields["checks"].items()},
            built={
                str(name): Built(_instant(at), _number(seconds))
                for name, (at, seconds) in fields["built"].items()
            },
            history={
                str(name): tuple(
                    Point(_instant(at), _whole(rows), _number(seconds)) for at, rows, seconds in points
                )
                for name, points in fields["history"].items()
            },
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _check_fields(one: Check) -> list[Any]:
    at, since = (moment.isoformat() if moment else None for moment in (one.at, one.since))
    return [one.name, one.state, one.severity, at, since, one.text[:TEXT_MAX]]


def _check(raw: Sequence[Any]) -> Check:
    name, state, severity, at, since, text = raw
    if state not in ("passed", "failed", "unknown") or severity not in ("error", "warn"):
        raise ValueError("no result of a check")
    return Check(
        str(name),
        state,
        severity,
        _instant(at) if at else None,
        _instant(since) if since else None,
        str(text),
    )


def _model(raw: Mapping[str, Any]) -> Model:
    return Model(
        str(raw["relation"]),
        str(raw["asset"]),
        bool(raw["view"]),
        str(raw["domain"]),
        str(raw["owner"]) if raw["owner"] else None,
        tuple(str(one) for one in raw["upstream"]),
        tuple(str(one) for one in raw["tests"]),
    )


def _instant(text: Any) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant without its offset from UTC")
    return at


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
