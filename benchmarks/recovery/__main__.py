"""``python -m benchmarks.recovery``: a database backed up and recovered, then one table of what it took."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.case import Wanted
from benchmarks.cases import backup
from benchmarks.recovery.cases import round_of, under_load
from benchmarks.recovery.company import company
from benchmarks.recovery.report import document, lines, text
from benchmarks.report import machine, table


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every limit was met, 1 otherwise."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped and removed
    facts = machine()
    with company(options.scale, bucket=not options.no_bucket) as made:
        size = made.database_bytes()
        rounds = [round_of(made, _say) for _ in range(options.repeat)]
        shipped = options.ship_seconds if options.load_seconds else ()
        loads = [under_load(made, seconds, options.load_seconds, _say) for seconds in shipped]
    found = lines(rounds, loads, size)
    rows = Wanted(_say, repeat=options.repeat, rows=options.warehouse_rows)
    warehouse = list(backup.results(rows)) if options.warehouse_rows else []
    if options.json:
        options.json.write_text(json.dumps(document(facts, rounds, loads, found), indent=1) + "\n")
    load = ", ".join(map(str, facts["load_average_before"]))
    print(f"{facts['cores']} cores, {facts['processor']}, load average before: {load}; {len(rounds)} rounds")
    print(text(found))
    if warehouse:
        print(table(warehouse))
    met = [line.met for line in found] + [verdict["met"] for one in warehouse for verdict in one.verdicts()]
    return 0 if all(met) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--scale", type=int, default=22, help="pgbench's, about 15 MB each (22)")
    parser.add_argument("--repeat", type=int, default=3, help="how often each figure is taken (3)")
    parser.add_argument(
        "--load-seconds", type=int, default=60, help="how long each load lasts; 0 for none (60)"
    )
    parser.add_argument(
        "--ship-seconds",
        type=float,
        nargs="+",
        default=(10, 1),
        help="how often WAL is shipped under load (10 1)",
    )
    parser.add_argument(
        "--warehouse-rows",
        type=int,
        default=1_000_000,
        help="of the warehouse that is backed up, too; 0 for none (1,000,000)",
    )
    parser.add_argument(
        "--no-bucket", action="store_true", help="without the S3 server, which the tests' packages bring"
    )
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
