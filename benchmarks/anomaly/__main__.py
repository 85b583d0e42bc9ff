"""``python -m benchmarks.anomaly``: detectors over labelled series, then one table of what each found and invented."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.anomaly import peers, report
from benchmarks.anomaly.dataset import START, Labelled, synthetic
from benchmarks.anomaly.detectors import DETECTORS, panels
from benchmarks.anomaly.grade import Result, grade
from benchmarks.anomaly.retail import real


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the platform's own detector met its targets on held-out shapes, 1 otherwise."""
    options = _parser().parse_args(argv)
    series = synthetic(options.series, options.seed)
    if options.retail:
        series += real(options.retail, options.seed)
    results = [_judge(name, series) for name in options.detector or DETECTORS]
    samples = _sampled(options) if options.peer else []
    if options.json:
        options.json.write_text(json.dumps(report.document(results, samples, options.seed), indent=1) + "\n")
    print(report.text(results, samples))
    missed = report.missed(results)
    for sentence in missed:
        print(f"Missed: {sentence}", file=sys.stderr)
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anomaly", description=__doc__)
    parser.add_argument("--series", type=int, default=100, help="series of each of the fourteen shapes (100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--detector", action="append", choices=list(DETECTORS), help="only these")
    parser.add_argument(
        "--peer", action="append", choices=peers.NAMES, help="judge a sample with a library, too"
    )
    parser.add_argument("--peer-series", type=int, default=2, help="series of each shape in that sample (2)")
    parser.add_argument(
        "--peer-home", type=Path, default=Path(".cache/anomaly-peers"), help="the libraries' environment"
    )
    parser.add_argument("--retail", type=Path, help="the folder of Online Retail, a gzipped CSV file a day")
    parser.add_argument("--json", type=Path, help="write every count to this file")
    return parser


def _judge(name: str, series: Sequence[Labelled]) -> Result:
    result = Result(name)
    for panel in panels(series, START):
        began = time.process_time()
        alarms = DETECTORS[name](panel)
        result.seconds += time.process_time() - began
        grade(result, panel.series, alarms, START)
    _note(f"{name}: done in {result.seconds:.0f} CPU seconds")
    return result


def _sampled(options: argparse.Namespace) -> list[Result]:
    """Ours and the libraries over the first series of each shape."""
    series = synthetic(options.peer_series, options.seed)
    results = [_judge("ours", series)]
    for name in options.peer:
        try:
            python = peers.environment(options.peer_home)
            alarms, seconds, version = peers.run(name, python, series)
        except peers.PeerMissing as missing:
            results.append(Result(name, note=f"not compared, for {missing}"))
            continue
        for width, level in enumerate(peers.WIDTHS):
            result = Result(
                f"{name}, {level}", seconds=seconds, note=f"{version}, fitted every {peers.REFIT_DAYS} days"
            )
            grade(result, series, np.ascontiguousarray(alarms[:, width]), START)
            results.append(result)
        _note(f"{name}: done in {seconds:.0f} CPU seconds")
    return results


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
