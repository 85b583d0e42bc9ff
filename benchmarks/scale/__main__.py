"""``python -m benchmarks.scale``: a line of figures for each number of tables, and what is too slow first."""

from __future__ import annotations

import argparse
import time
from statistics import median, quantiles

from benchmarks.scale.simulate import Outcome, Plan, Simulation

MONTH = 30 * 86_400
DOLLARS = {"list": 5e-6, "write": 5e-6, "read": 0.4e-6}
"""A request's price where it is dearest among the usual regions; check your own bucket's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, nargs="+", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--of-a-source", type=int, default=100, help="tables of one source")
    parser.add_argument("--runs", type=int, default=100, help="runs side by side")
    parser.add_argument("--sensors", type=int, default=4, help="sensors asked at a time")
    parser.add_argument(
        "--changing", type=float, default=0.1, help="share of tables with new rows in a minute"
    )
    parser.add_argument("--minutes", type=float, default=20, help="simulated")
    parser.add_argument(
        "--at-once", type=int, default=10, help="requests that the store is asked side by side"
    )
    parser.add_argument("--forgetful", action="store_true", help="sensors read every head at every look")
    parser.add_argument("--one-writer", action="store_true", help="the warehouse takes one writer at a time")
    chosen = parser.parse_args()
    print(HEAD)
    for tables in chosen.tables:
        plan = Plan(
            tables=tables,
            sources=max(1, tables // chosen.of_a_source),
            runs=chosen.runs,
            sensors=chosen.sensors,
            changing=chosen.changing,
            minutes=chosen.minutes,
            requests_at_once=chosen.at_once,
            remembers=not chosen.forgetful,
            writers="one" if chosen.one_writer else "many",
        )
        began = time.process_time()
        outcome = Simulation(plan).outcome()
        print(line(outcome, time.process_time() - began), flush=True)


HEAD = (
    "tables | a look s | between looks s | runs | wait in queue s | a run s | new rows landed after s"
    " | busy | requests/s | $ a month | left in queue | simulated in CPU-s"
)


def line(outcome: Outcome, cpu: float) -> str:
    seconds = 60 * outcome.plan.minutes
    requests = outcome.company.store.requests
    dollars = sum(count * DOLLARS[kind] for kind, count in requests.items()) * MONTH / seconds
    busy = ", ".join(f"{name} {outcome.share_busy(name):.0%}" for name in outcome.stages)
    return " | ".join(
        [
            f"{outcome.plan.tables:,}",
            told(outcome.stages["sensors"].took),
            told(outcome.between_looks),
            f"{outcome.requested:,}",
            told(outcome.stages["runs"].waited),
            told(outcome.stages["runs"].took),
            told(outcome.company.waited),
            busy,
            f"{sum(requests.values()) / seconds:,.0f}",
            f"{dollars:,.0f}",
            f"{outcome.left_waiting:,}",
            f"{cpu:.0f}",
        ]
    )


def told(values: list[float]) -> str:
    """The median and the 95th percentile."""
    if len(values) < 2:
        return "-"
    return f"{median(values):.1f}/{quantiles(values, n=20)[-1]:.1f}"


if __name__ == "__main__":
    main()
