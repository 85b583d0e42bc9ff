"""The benchmark of recoveries measures what it says, on a small database; its report holds figures against their limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.measure import Figures
from benchmarks.recovery.__main__ import main
from benchmarks.recovery.cases import Ages, Round, Run
from benchmarks.recovery.report import lines, text


def run(seconds: float, **found: object) -> Run:
    return Run(Figures(seconds, 1.0, 50.0), dict(found))


def a_round(*, full: float = 2, fetch: float = 1, stored: int = 1_000_000) -> Round:
    steps = {"fetch": fetch, "verify": 1.0, "recover": 3.0}
    return Round(
        copy=run(1),
        copied=200_000_000,
        full=run(full, bytes=20_000_000, plain=200_000_000),
        incremental=run(1, bytes=stored, plain=5_000_000),
        recovered={"full": run(9, steps=steps), "chain": run(11, steps=steps)},
        verified=run(2),
        verified_again=run(1, read=500_000),
    )


def test_figures_are_held_against_their_limits() -> None:
    ages = Ages(10, 100, {"primary": [float(n) for n in range(100)]})
    found = {line.name: line for line in lines([a_round()], [ages], 200_000_000)}
    assert found["full backup, stored and read back"].value == 100
    assert found["restore: from objects to a proven data folder"].value == 100
    assert found["its bytes, of the full backup's"].value == 5
    assert found["its bytes, of the database's"].value == 0.5
    assert [name for name, line in found.items() if not line.met] == [
        "restore: from objects to a proven data folder",
        "recovery to a second, from two backups and WAL",
        "RPO under load, p99, primary, shipped every 10 s",
    ]
    shown = text(list(found.values()))
    assert "| 100.0 MB/s | 125 MB/s: missed |" in shown and "| 9.0 s | 10 s: met | fetch 1.0," in shown
    slow = lines([a_round(full=4), a_round(full=4), a_round(stored=9_000_000)], [], 200_000_000)
    assert [line.value for line in slow if line.name.startswith("full backup")] == [50]
    assert all(line.met for line in slow if line.name.startswith("its bytes"))


@pytest.mark.slow
def test_a_small_database_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    options = ["--scale", "1", "--repeat", "1", "--load-seconds", "0", "--warehouse-rows", "0", "--no-bucket"]
    assert main([*options, "--json", str(file)]) in (0, 1)
    (one,) = json.loads(file.read_text())["rounds"]
    assert one["full"]["found"]["way"] == "full" and one["incremental"]["found"]["way"] == "incremental"
    assert one["incremental"]["found"]["bytes"] < one["full"]["found"]["bytes"]
    assert one["recovered"]["chain"]["found"]["chain"] == 2
    assert one["recovered"]["chain"]["found"]["rows"] > one["recovered"]["full"]["found"]["rows"] > 100_000
    assert "| full backup, stored and read back |" in capsys.readouterr().out
