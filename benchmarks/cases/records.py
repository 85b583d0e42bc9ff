"""Records of an API into Parquet: what a source that gives JSON costs beside its network."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import records
from benchmarks.case import Wanted, new_result
from benchmarks.measure import Figures, measure
from benchmarks.peers import Peer, install
from benchmarks.project import plain_environment
from benchmarks.report import Limit, Result

REPOSITORY = Path(records.__file__).parents[1]
COUNTS = {"records-flat": ("flat", 1_000_000), "records-nested": ("nested", 300_000)}
CASES = {
    "records-flat": ("1,000,000 flat records of 185 bytes into Parquet", (Limit("peak_mb", 500),)),
    "records-nested": ("300,000 nested records of 420 bytes into Parquet", (Limit("peak_mb", 500),)),
}
PEER = "dlt"
PEER_SHARE = 10
"""dlt gets so many times fewer records: its time grows in proportion, and is long."""


def results(wanted: Wanted) -> Iterator[Result]:
    for name in wanted.of(CASES):
        kind, count = COUNTS[name]
        result = new_result(CASES, name)
        rates = []
        for _ in range(wanted.repeat):
            figures, rate = _run([sys.executable, "-m", "benchmarks.records"], REPOSITORY, kind, count)
            result.repetitions.append(figures)
            rates.append(rate)
            wanted.say(f"{result.title}: {rate:,.0f} records/s")
        ours = median(rates)
        result.notes.append(
            f"{ours:,.0f} records/s ({', '.join(f'{rate:,.0f}' for rate in rates)}); the figures include making the records"
        )
        if PEER in wanted.peers:
            other = _peer(kind, count // PEER_SHARE)
            result.notes.append(
                f"dlt's extract and normalize: {other:,.0f} records/s; ours are {ours / other:.1f} times that"
            )
        yield result


def _run(command: list[str], cwd: Path, kind: str, count: int) -> tuple[Figures, float]:
    """What the command took in all, and how many records it did a second once they were made."""
    with tempfile.NamedTemporaryFile() as file:
        figures = measure([*command, kind, str(count), file.name], environ=plain_environment(), cwd=cwd)
        return figures, count / float(json.loads(Path(file.name).read_text()))


def _peer(kind: str, count: int) -> float:
    """Records a second of dlt, from the same pages to its normalized Parquet files."""
    peer = Peer(("dlt[parquet,filesystem]",), "peer.py", records.DLT, ("python", "peer.py"))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        install(peer, home)
        (home / "benchmarks_records.py").write_text(Path(records.__file__).read_text())
        return _run([str(home / "venv" / "bin" / "python"), "peer.py"], home, kind, count)[1]
