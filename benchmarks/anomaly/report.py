"""The benchmark's figures as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.anomaly.grade import Grade, Result

TARGET_FALSE, TARGET_RECALL, TARGET_A_MINUTE = 0.05, 0.75, 1_000_000
HEAD = "| detector | series | precision | recall | recall, changes of 30% and more | false alarms a table-month | series-days a minute |"


def text(results: Sequence[Result], samples: Sequence[Result]) -> str:
    """Every detector over all series, then over the sample that the slow ones can judge, then ours in detail."""
    parts = []
    for title, group in (("All series", results), ("The sample for slow detectors", samples)):
        for split in ("tuned", "held out", "real"):
            rows = [_row(result, split) for result in group if ("split", split) in result.grades]
            if rows:
                parts += [f"{title}: {split}", HEAD, "|---|---|---|---|---|---|---|", *rows, ""]
    for group, names in (("shape", _names(results, "shape")), *_incident_groups(results)):
        parts += _matrix(results, group, names)
    notes = [f"{result.name}: {result.note}" for result in (*results, *samples) if result.note]
    return "\n".join([*parts, *notes]).rstrip()


def _row(result: Result, split: str) -> str:
    grade = result.grades[("split", split)]
    return (
        f"| {result.name} | {result.series.get(split, 0):,} | {_share(grade.precision)} | {_share(grade.recall)} |"
        f" {_share(grade.recall_large)} | {grade.false_a_month:.3f} | {_speed(result.a_minute)} |"
    )


def _matrix(results: Sequence[Result], group: str, names: Sequence[str]) -> list[str]:
    """Recall on large changes and false alarms of each detector, by ``group``."""
    shown = "recall, 30% and more / false alarms" if group == "shape" else "recall, 30% and more"
    head = f"| {group} ({shown}) | " + " | ".join(result.name for result in results) + " |"
    lines = [head, "|---" * (len(results) + 1) + "|"]
    for name in names:
        cells = [_cell(result.grades.get((group, name)), group == "shape") for result in results]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(grade: Grade | None, false: bool) -> str:
    if grade is None:
        return ""
    return (
        f"{_share(grade.recall_large)} / {grade.false_a_month:.3f}" if false else _share(grade.recall_large)
    )


def _names(results: Sequence[Result], group: str) -> list[str]:
    return list(dict.fromkeys(name for result in results for kind, name in result.grades if kind == group))


def _incident_groups(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    groups = [f"incident, {split}" for split in ("tuned", "held out", "real")]
    return [(group, names) for group in groups if (names := _names(results, group))]


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _speed(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value / 1e6:,.2f} M" if value >= 1e5 else f"{value:,.0f}"


def document(results: Sequence[Result], samples: Sequence[Result], seed: int) -> dict[str, Any]:
    """Every count, for machines."""
    return {
        "seed": seed,
        "detectors": [_facts(one) for one in results],
        "sample": [_facts(one) for one in samples],
    }


def _facts(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "note": result.note,
        "series": result.series,
        "series_days": result.series_days,
        "cpu_seconds": result.seconds,
        "grades": [
            {"group": group, "name": name, **vars(grade), **_derived(grade)}
            for (group, name), grade in result.grades.items()
        ],
    }


def _derived(grade: Grade) -> dict[str, float | None]:
    figures = {
        "precision": grade.precision,
        "recall": grade.recall,
        "recall_large": grade.recall_large,
        "false_a_month": grade.false_a_month,
    }
    return {name: None if math.isnan(value) else round(value, 4) for name, value in figures.items()}


def missed(results: Sequence[Result]) -> list[str]:
    """What of the target the platform's own detector missed on held-out shapes, in sentences."""
    held = {
        result.name: result.grades[("split", "held out")]
        for result in results
        if ("split", "held out") in result.grades
    }
    if "ours" not in held:
        return []
    own = held["ours"]
    found = []
    if own.false_a_month > TARGET_FALSE:
        found.append(
            f"{own.false_a_month:.3f} false alarms a table-month on held-out shapes; the target is {TARGET_FALSE}."
        )
    if own.recall_large < TARGET_RECALL:
        found.append(f"A recall of {own.recall_large:.2f} on held-out shapes; the target is {TARGET_RECALL}.")
    return found
