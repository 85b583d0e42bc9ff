"""``python -m benchmarks``: measure, then print the table, and the JSON where it is asked for."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from benchmarks.case import Wanted
from benchmarks.cases import GROUPS, NAMES
from benchmarks.peers import PEERS
from benchmarks.report import document, machine, table


def main(argv: list[str] | None = None) -> int:
    """0 when everything that was measured met its limit, 1 otherwise."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped and removed
    facts = machine()
    wanted = Wanted(
        lambda text: print(text, file=sys.stderr, flush=True),
        tuple(options.only),
        options.repeat,
        options.rows,
        options.orders,
        tuple(options.peers),
        options.peer_timeout,
        options.csv_mb,
    )
    results = [result for group in GROUPS for result in group.results(wanted)]

    shown = {"rows": options.rows, "repeat": options.repeat, "orders": options.orders, "peers": options.peers}
    report = document(facts, shown, results)
    if options.json:
        text = json.dumps(report, indent=2) + "\n"
        if options.json == "-":
            print(text, end="")
        else:
            Path(options.json).write_text(text)
    if options.json != "-":
        load = ", ".join(map(str, facts["load_average_before"]))
        print(f"{facts['cores']} cores, {facts['processor']}, load average before: {load}; medians")
        print(table(results))
    return 0 if not report["limits_missed"] and not any(result.error for result in results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the large table (5,000,000)")
    parser.add_argument("--repeat", type=int, default=3, help="how often each figure is taken (3)")
    parser.add_argument(
        "--only", action="append", default=[], choices=NAMES, metavar="NAME",
        help=f"measure this alone; repeatable: {', '.join(NAMES)}",
    )  # fmt: skip
    parser.add_argument(
        "--json", metavar="FILE", help="write the JSON there; - prints it instead of the table"
    )
    parser.add_argument("--orders", type=int, default=20_000, help="orders of the demo's sandbox (20,000)")
    parser.add_argument("--csv-mb", type=int, default=200, help="megabytes of the CSV file (200)")
    parser.add_argument(
        "--peers", type=_peers, default=[], metavar="LIST", help=f"other tools beside it: {','.join(PEERS)}"
    )
    parser.add_argument(
        "--peer-timeout", type=float, default=1800, metavar="SECONDS", help="for one run of a peer (1800)"
    )
    return parser


def _peers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := sorted(set(names) - set(PEERS)):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(PEERS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
