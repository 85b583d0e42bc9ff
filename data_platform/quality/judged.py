"""Judges the newest figures of a relation by its own past: ``histories.py`` gives them, ``anomaly/`` decides, this remembers.

With ``by``, the figures are those of each day of the data, so the history is there at once and a backfill changes nothing of
another day. Without it they are those of the whole relation at each load or build, kept in ``quality.metrics``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data_platform.quality.anomalies import AnomaliesSettings
from data_platform.quality.anomaly.detector import judge_many
from data_platform.quality.anomaly.seasons import NO_CALENDAR, Calendar
from data_platform.quality.anomaly.verdict import Verdict, spoken
from data_platform.quality.checking import CheckResult, Entry, Subject
from data_platform.quality.histories import figures
from data_platform.quality.verdicts import VERDICTS, answers
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import Row, read
from data_platform.words import plural

PLOTS = 3
ALARMS_KEPT = 500


@dataclass(frozen=True, slots=True)
class _Judged:
    """A verdict with its id and what a person said about it."""

    id: str
    series: str
    verdict: Verdict
    answer: str

    @property
    def open(self) -> bool:
        return self.verdict.status == "alarm" and self.answer != "accepted"


def evaluate(
    warehouse: Warehouse, subject: Subject, settings: AnomaliesSettings, now: datetime
) -> CheckResult:
    label = subject.label
    said = {id_: str(row["answer"]) for id_, row in answers(warehouse, label).items()}
    found = figures(warehouse, subject, settings, now, said)
    verdicts = judge_many([candidate for _, candidate in found.candidates], _calendar(settings))
    judged = [
        _Judged(id_, candidate.history.name, verdict, said.get(id_, ""))
        for (id_, candidate), verdict in zip(found.candidates, verdicts, strict=True)
    ]
    return _result(judged, (*found.to_keep, _entry(warehouse, label, judged, now)))


def _calendar(settings: AnomaliesSettings) -> Calendar:
    if settings.holidays is None:
        return NO_CALENDAR
    country, _, region = settings.holidays.partition("-")
    return Calendar(country, region)


def _entry(warehouse: Warehouse, label: str, judged: Sequence[_Judged], now: datetime) -> Entry:
    """The verdicts in the place of those that were kept, and the alarms of before."""
    new = {one.id for one in judged}
    before = read(warehouse, VERDICTS, {"table_name": label, "status": "alarm"}, order=["day"])
    old = [row for row in before if row["id"] not in new][-ALARMS_KEPT:]
    rows = [_row(label, one, now) for one in judged]
    return Entry(VERDICTS, (*old, *rows), {"table_name": label})


def _row(label: str, one: _Judged, now: datetime) -> Row:
    verdict = one.verdict
    return {
        "id": one.id, "table_name": label, "series": one.series, "day": verdict.at.isoformat(),
        "status": verdict.status, "observed": _finite(verdict.observed), "expected": _finite(verdict.expected),
        "lowest": _finite(verdict.low), "highest": _finite(verdict.high), "reason": verdict.reason, "judged_at": now,
    }  # fmt: skip


def _result(judged: Sequence[_Judged], entries: Sequence[Entry]) -> CheckResult:
    open_ = [one for one in judged if one.open]
    newest = {one.series: one for one in judged}.values()
    learning = sum(one.verdict.status == "learning" for one in newest)
    unknown = sum(one.verdict.status == "unknown" for one in newest)
    facts: dict[str, Any] = {
        "figures": len(newest),
        "figures_learning": learning,
        "figures_unknown": unknown,
        "alarms": len(open_),
        "alarms_confirmed": sum(one.answer == "incident" for one in open_),
    }
    if not open_:
        return CheckResult(True, _quiet(len(newest), learning), facts, to_keep=tuple(entries))
    shown = sorted(open_, key=lambda one: one.verdict.at, reverse=True)
    more = f" {plural(len(shown) - 1, 'other alarm')} too." if len(shown) > 1 else ""
    facts["newest_alarm"] = shown[0].id
    text = f"{_short(shown[0])}.{more} `data-platform anomaly list` says why; answer with `accept` or `incident`."
    plots = {
        f"plot_{number}": (f"{one.series} of {one.verdict.at}: {one.verdict.reason}", one.verdict.plot())
        for number, one in enumerate(shown[:PLOTS], 1)
    }
    return CheckResult(False, text, facts, plots=plots, to_keep=tuple(entries))


def _short(one: _Judged) -> str:
    """The alarm in few words; the metadata has the whole reason and a plot."""
    found = one.verdict
    assert found.observed is not None
    words = f"{one.series} of {found.at}: {spoken(found.kind, found.observed)}"
    if found.expected is None:
        return words
    expected = f"expected {spoken(found.kind, found.expected)}"
    if found.change is None or abs(found.change) >= 10:
        return f"{words}, {expected}"
    side = "below" if found.change < 0 else "above"
    slow = ", and so were the days before" if found.slow else ""
    return f"{words}, {abs(found.change):.0%} {side} the {expected}{slow}"


def _quiet(figures: int, learning: int) -> str:
    if not figures:
        return "Learning: no day is complete yet."
    if learning == figures:
        return f"Learning: no figure of {plural(figures, 'figure')} has enough history for a verdict."
    rest = f"; {learning} of them still learning" if learning else ""
    return f"{plural(figures, 'figure')} as the past lets expect{rest}."


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) != float("inf") else None
