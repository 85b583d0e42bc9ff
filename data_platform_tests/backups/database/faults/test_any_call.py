"""One fault at a call of a store or of a PostgreSQL program while a database is backed up, dumped, verified or recovered: it is
said and names what, no good backup is lost, and the next run is as if nothing had been. What needs no server is in
``backups/test_call_faults.py`` and ``test_prune_faults.py``."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from data_platform.errors import DataPlatformError
from data_platform.sync import open_platform
from data_platform_tests.backups.calls import MARK, Calls, How
from data_platform_tests.backups.database.faults.acts import (
    MADE_GOOD,
    QUICK,
    SLOW,
    Act,
    back_up_the_database,
    recover_all,
    recover_the_database,
)
from data_platform_tests.backups.database.faults.prepared import Prepared

pytestmark = pytest.mark.slow
Fresh = Callable[[], Prepared]
SAMPLED = 29
"""Every so many points of a quick act, and one of a slow one, where not all are asked for (`--seeds N`)."""


ROOM = ("before", "scratch", "backups/")
"""Changes nothing, and need not be said: the room for what is under way is then another store's."""


def quiet(act: Act, how: How, method: str, what: str) -> bool:
    """Whether the fault changes nothing and need not be said: also, while the recovered landing store catches up, hints, whose loss
    costs the work of one look, and the removal of a folder that was used."""
    if act is recover_all and (method == "put_hint" or (how, method) == ("after", "scratch")):
        return True
    return (how, method, what) == ROOM


def said(act: Act, company: Prepared) -> list[str]:
    try:
        return list(act(company))
    except DataPlatformError as error:
        return [str(error)]


def points(seen: int, act: Act, everywhere: bool) -> Iterator[tuple[int, How]]:
    sample = [seen // 2] if act in SLOW else range(SAMPLED // 3, seen, SAMPLED)
    for at in range(seen) if everywhere else sample:
        yield at, ("before", "after")[at % 2]
        if everywhere:
            yield at, ("after", "before")[at % 2]


@pytest.mark.parametrize("act", [*QUICK, *SLOW], ids=lambda act: act.__name__)
def test_a_fault_is_said_and_harms_nothing(
    act: Act, original: Prepared, fresh: Fresh, seeds: Callable[[int], Sequence[int]]
) -> None:
    clean, counted = fresh(), Calls()
    with counted.installed():
        assert said(act, clean) == []
    assert not clean.lost(original)
    failures = []
    for at, how in points(len(counted.seen), act, len(seeds(1)) > 1):
        company, faulty = fresh(), Calls(at, how)
        with faulty.installed():
            problems = said(act, company)
        if not faulty.happened or (how == "after" and faulty.seen[at][0] == "local" and act in SLOW):
            continue  # the file was proven, and read as far as it was needed
        method, what = faulty.seen[at]
        found = [f"it lost {key}" for key in company.lost(original)]
        if not any(MARK in line and what in line for line in problems) and not quiet(act, how, method, what):
            found.append(f"it said {problems}")
        found += [f"the next run said {line}" for line in said(act, company) if not MADE_GOOD.search(line)]
        if company.lost(original):
            found.append("the next run harmed what was good")
        found += company.unfinished()
        failures += [f"{how} {method} {what}: {line}" for line in found]
        shutil.rmtree(company.root)
    assert not failures, "\n".join(failures)


KILLED = 12
"""Every so many points of a process that is killed there, if all are asked for; otherwise one."""


def _killed(act: Act, root: Path, environ: Mapping[str, str], at: datetime, system: str, number: int) -> None:
    company = Prepared(root, open_platform(root, "local", environ), at, system)
    with Calls(number, "killed").installed():
        act(company)


@pytest.mark.parametrize(
    "act", [back_up_the_database, recover_the_database, recover_all], ids=lambda act: act.__name__
)
def test_a_process_that_is_killed_harms_nothing(
    act: Act, original: Prepared, fresh: Fresh, seeds: Callable[[int], Sequence[int]]
) -> None:
    """The next run is as if nothing had been: what the killed one left is in nobody's way, or is refused by name."""
    everywhere = len(seeds(1)) > 1
    if act is recover_all and not everywhere:
        pytest.skip("on demand: --seeds N")
    counted = Calls()
    with counted.installed():
        assert said(act, fresh()) == []
    points = range(0, len(counted.seen), KILLED) if everywhere else [len(counted.seen) // 2]
    failures = []
    for number in points:
        company = fresh()
        given = (act, company.root, dict(company.platform.environ), company.at, company.system, number)
        child = multiprocessing.get_context("spawn").Process(target=_killed, args=given)
        child.start()
        child.join(120)
        found = [] if child.exitcode == -signal.SIGKILL else [f"it ended with {child.exitcode}"]
        found += [f"it lost {key}" for key in company.lost(original)]
        found += [f"the next run said {line}" for line in said(act, company) if not MADE_GOOD.search(line)]
        found += [f"the next run lost {key}" for key in company.lost(original)]
        found += company.unfinished()
        failures += [f"killed at {counted.seen[number]}: {line}" for line in found]
        shutil.rmtree(company.root)
    assert not failures, "\n".join(failures)
