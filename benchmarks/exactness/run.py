"""One tool taken through the cases and the kills: what is judged, and when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.exactness.cases import Case, busy, execute, make_table
from benchmarks.exactness.grade import Contents, Difference, compare, read_postgres, same
from benchmarks.exactness.tools import Run, Tool
from benchmarks.measure import BenchmarkError

SYNCS_MAX = 3
"""The sync that should bring the change, and two more, so that a tool may catch up."""
KILL_ROWS = 5_000
TRIES_MAX = 5
"""How often a kill is tried that came too late; each try knows better how long a sync takes."""


@dataclass(frozen=True)
class Cell:
    """What one tool made of one case. ``syncs`` is how many it was given, ``error`` how the last
    of them failed, ``refreshed`` what its full reload left wrong (None where none was needed)."""

    case: str
    kept: bool
    text: str
    syncs: int = 0
    error: str | None = None
    refreshed: str | None = None
    figures: dict[str, object] = field(default_factory=dict)

    def words(self) -> str:
        """``text``, and what a full reload could not mend either."""
        return (
            self.text if self.refreshed in (None, "kept") else f"{self.text}; full refresh: {self.refreshed}"
        )


def run_case(tool: Tool, case: Case) -> Cell:
    """Full load, the case, then up to ``SYNCS_MAX`` syncs until the target equals the source."""
    make_table(tool.url)
    tool.reset()
    _load(tool)
    before = _source(tool)
    if not same(before, tool.target()):
        raise BenchmarkError(f"{tool.title} changed rows of the table at its first load already")
    for _ in case.play(tool.url):
        _load(tool)
        before = _source(tool)
    after = _source(tool)
    difference, runs = _settle(tool, before, after)
    error = runs[-1].error
    if difference.nothing and error is None:
        return Cell(case.name, True, "kept" if len(runs) == 1 else f"kept by sync {len(runs)}", len(runs))
    if error is None:
        text = str(difference)
    elif same(before, tool.target()):
        text = f"stopped, target as before: {error}"
    else:
        text = f"stopped, {difference}: {error}"
    again = tool.sync(refresh=True)
    refreshed = (
        str(compare(before, after, tool.target())) if again.error is None else f"failed: {again.error}"
    )
    return Cell(case.name, False, text, len(runs), error, refreshed)


def run_kills(tool: Tool, points: int, seed: int, say: Callable[[str], None]) -> Cell:
    """SIGKILL at ``points`` seeded fractions of a sync, then syncs as in any case.

    Half of the points lie in a sync of changes, one after another on the same target, half in
    a first load. A sync that ended before its kill is not counted and is tried again. A target
    that is left wrong is counted and made anew.
    """
    chooser = random.Random(seed)
    fractions = [(n + chooser.random()) / points for n in range(points)]
    chooser.shuffle(fractions)
    seconds = dict.fromkeys(("changes", "first load"), 0.0)  # as the last whole sync of the kind took
    wrong: Counter[str] = Counter()
    errors: list[str] = []
    kills = number = 0

    def begin(kind: str) -> Contents:
        """Bring about what the next sync has to do; the source as it was before."""
        nonlocal number
        if kind == "first load":
            make_table(tool.url, KILL_ROWS)
            tool.reset()
            return Contents()
        before = _source(tool)
        number += 1
        execute(tool.url, *busy(number, KILL_ROWS))
        return before

    def fresh() -> None:
        for kind in ("first load", "changes"):
            begin(kind)
            seconds[kind] = _load(tool).seconds

    fresh()
    for point, fraction in enumerate(fractions):
        kind = "changes" if point < points // 2 else "first load"
        for _ in range(TRIES_MAX):
            before = begin(kind)
            run = tool.sync(kill_after=fraction * seconds[kind])
            if run.killed:
                break
            seconds[kind] = run.seconds
        kills += run.killed
        difference, runs = _settle(tool, before, _source(tool))
        errors += [runs[-1].error] if runs[-1].error else []
        wrong.update([str(difference)] if not difference.nothing else [])
        if runs[-1].error or not difference.nothing:
            say(f"{tool.title}: killed at {fraction:.2f} of {kind}: {difference} {runs[-1].error or ''}")
            fresh()
    text = f"kept after {kills - sum(wrong.values())} of {kills} kill{'' if kills == 1 else 's'}"
    text += "".join(f"; {what} after {count}" for what, count in wrong.most_common(3))
    text += f"; stopped after {len(errors)}: {errors[0]}" if errors else ""
    figures = {"seed": seed, "points": points, "kills": kills, "wrong": dict(wrong), "stopped": len(errors)}
    return Cell("kill", kills > 0 and not wrong and not errors, text, figures=figures)


def _settle(tool: Tool, before: Contents, after: Contents) -> tuple[Difference, list[Run]]:
    runs: list[Run] = []
    while True:
        runs.append(tool.sync())
        difference = compare(before, after, tool.target())
        if len(runs) == SYNCS_MAX or (difference.nothing and runs[-1].error is None):
            return difference, runs


def _load(tool: Tool) -> Run:
    """A sync that has nothing to trip over: when it fails, the comparison means nothing."""
    run = tool.sync()
    if run.error:
        raise BenchmarkError(f"{tool.title} could not load the table: {run.error}")
    return run


def _source(tool: Tool) -> Contents:
    return read_postgres(tool.url, "orders")
