"""A large CSV file into Parquet, beside DuckDB's own ``read_csv`` of the same file in the same run."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import files
from benchmarks.case import Wanted, new_result
from benchmarks.measure import Figures, measure
from benchmarks.project import plain_environment
from benchmarks.report import Limit, Result

REPOSITORY = Path(files.__file__).parents[1]
MODES = {"files-csv": "text", "files-csv-typed": "typed"}
TIMES_MAX = 1.5
CASES = {
    "files-csv": ("a CSV file as text into Parquet", (Limit("peak_mb", 500),)),
    "files-csv-typed": ("a CSV file with six typed columns into Parquet", (Limit("peak_mb", 500),)),
}


def results(wanted: Wanted) -> Iterator[Result]:
    for name in wanted.of(CASES):
        result = new_result(CASES, name)
        times = []
        for _ in range(wanted.repeat):
            with tempfile.TemporaryDirectory() as folder:
                rows = files.made(Path(folder), wanted.csv_mb)
                _, theirs = _run("duckdb", MODES[name], Path(folder))
                figures, ours = _run("ours", MODES[name], Path(folder))
            result.repetitions.append(figures)
            times.append(ours / theirs)
            wanted.say(f"{result.title}: {ours:.2f} s, DuckDB {theirs:.2f} s: {times[-1]:.2f} x")
        result.notes.append(
            f"{wanted.csv_mb:,} MB, {rows:,} rows: {median(times):.2f} x DuckDB's read_csv to Parquet"
            f" ({', '.join(f'{one:.2f}' for one in times)}; wanted: {TIMES_MAX}); the figures include starting"
        )
        yield result


def _run(what: str, mode: str, folder: Path) -> tuple[Figures, float]:
    with tempfile.NamedTemporaryFile() as file:
        command = [sys.executable, "-m", "benchmarks.files", what, mode, str(folder), file.name]
        figures = measure(command, environ=plain_environment(), cwd=REPOSITORY)
        return figures, float(json.loads(Path(file.name).read_text()))
