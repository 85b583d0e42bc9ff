"""A backup, a verification or a restore while any one call of a store fails, or is its last: it is said, what was good stays as
it was, and the next run is as if nothing had been."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.backups.mirror import PREFIX
from data_platform.errors import DataPlatformError
from data_platform.landing.verify import verify
from data_platform.sync import Platform, backup, open_platform
from data_platform.sync.backup import archives
from data_platform_tests.backups.calls import MARK, Calls, How
from data_platform_tests.backups.conftest import SETUP, Box
from data_platform_tests.backups.database.conftest import CATALOG, SOURCE
from data_platform_tests.landing.redactions import land

pytestmark = pytest.mark.slow  # every call of an act, one after the other
STORES = ("backups", "offsite", "landing")
SAMPLED = 11
"""Every so many calls of a long act, where not all are asked for (`--seeds N`)."""
LONG = 40
_HINT = re.compile(r"/[a-z]+\.json$|/\.")
"""What a store may lose: the next run makes it. And the store's own folders."""

Act = Callable[[Platform], Sequence[str]]


def back_up(platform: Platform) -> Sequence[str]:
    report = backup.make_backup(platform)
    return [*map(str, report.failed.values()), *report.mirrored.damaged, *report.remarks]


def verify_all(platform: Platform) -> Sequence[str]:
    problems: list[str] = []
    for one in archives(platform):
        for id_ in one.ids():
            problems += one.damage(one.manifest(id_), deep=True)
    for table in platform.catalog.table_ids():
        problems += verify(platform.ledger, table, platform.clock(), since=0).problems
    return problems


def restore_warehouse(platform: Platform) -> Sequence[str]:
    into = platform.catalog.root / "restored.duckdb"
    report = backup.restore_warehouse(platform, "latest", into)
    assert report.rows > 5000
    into.unlink()
    return report.mismatches


def restore_files(platform: Platform) -> Sequence[str]:
    into = platform.catalog.root / "restored"
    shutil.rmtree(into, ignore_errors=True)
    _, found = backup.restore_beside(platform, "latest", into)
    if not found.damaged:
        assert found.parts == 4
    return found.damaged


def said(act: Act, platform: Platform) -> list[str]:
    try:
        return list(act(platform))
    except DataPlatformError as error:
        return [str(error)]


def opened(root: Path) -> Platform:
    return open_platform(root, "local", {"SHOP_URL": "postgresql://nobody@127.0.0.1:1/shop"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company with two archives, each with two backups and the landing store up to then; a batch is new since. For copying."""
    box = Box(tmp_path_factory.mktemp("company"))
    box.execute(*SETUP)
    (box.root / "catalog/sources").mkdir(parents=True)
    copies = "{offsite: {kind: local, path: offsite}}"
    (box.root / "catalog/platform.yaml").write_text(CATALOG.format(copies=copies))
    (box.root / "catalog/sources/shop.yaml").write_text(SOURCE.format(block="{engine: native}"))
    platform = opened(box.root)
    for _ in range(2):
        land(platform.ledger)
        assert back_up(platform) == []
    land(platform.ledger)
    return box.root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "company")


def objects(root: Path) -> dict[str, bytes]:
    """Of every store, by store and key, without hints."""
    found = [path for name in STORES for path in (root / name).rglob("*") if path.is_file()]
    named = {path.relative_to(root).as_posix(): path for path in found}
    return {key: path.read_bytes() for key, path in named.items() if not _HINT.search(key)}


def unfinished(root: Path) -> list[str]:
    """What a backup that went well should have done: both archives hold it and all parts, and what an earlier one left
    goes by the rule."""
    platform = opened(root)
    problems, newest = verify_all(platform), set()
    for one in archives(platform):
        ids = one.ids()
        newest.add(ids[-1])
        left = {key.split("/")[2] for key in one.reader.list("warehouse/objects")} - set(ids)
        left -= set(one.abandoned(datetime.now(UTC) + timedelta(days=1)))
        problems += [f"{id_} is left in {one.name} for ever" for id_ in left]
        parts = [key for key in one.reader.list(PREFIX) if key.endswith(".parquet")]
        problems += [f"{one.name} has {len(parts)} parts"] if len(parts) != 6 else []
    return [*problems, *(["the archives differ"] if len(newest) > 1 else [])]


def points(count: int, everywhere: bool) -> Iterator[tuple[int, How]]:
    sampled = count > LONG and not everywhere
    for number in range(0, count, SAMPLED) if sampled else range(count):
        yield number, "after" if number % 2 else "before"
        if not sampled:
            yield number, "before" if number % 2 else "after"


@pytest.mark.parametrize("act", [back_up, verify_all, restore_warehouse, restore_files])
def test_any_call_may_fail(
    root: Path, tmp_path: Path, act: Act, seeds: Callable[[int], Sequence[int]]
) -> None:
    before, counted = objects(root), Calls()
    clean = opened(shutil.copytree(root, tmp_path / "clean"))
    with counted.installed():
        assert said(act, clean) == []
    failures = []
    for number, how in points(len(counted.seen), len(seeds(1)) > 1):
        case = shutil.copytree(root, tmp_path / "case")
        faulty = Calls(number, how)
        with faulty.installed():
            problems = said(act, opened(case))
        method, what = faulty.seen[number]
        found = [] if any(MARK in line and what in line for line in problems) else [f"it said {problems}"]
        found += [] if before.items() <= objects(case).items() else ["it harmed what was good"]
        found += [f"the next run said {line}" for line in said(act, opened(case))]
        found += [] if before.items() <= objects(case).items() else ["the next run harmed what was good"]
        found += unfinished(case) if act is back_up else []
        failures += [f"{how} {method} {what}: {line}" for line in found]
        shutil.rmtree(case)
    assert not failures, "\n".join(failures)


def _killed(root: Path, act: Act, number: int) -> None:
    with Calls(number, "killed").installed():
        act(opened(root))


@pytest.mark.parametrize(("act", "number"), [(back_up, 20), (back_up, 50), (restore_warehouse, 3)])
def test_a_process_that_is_killed_harms_nothing(root: Path, act: Act, number: int) -> None:
    before = objects(root)
    child = multiprocessing.get_context("spawn").Process(target=_killed, args=(root, act, number))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert before.items() <= objects(root).items()
    assert said(act, opened(root)) == []
    assert before.items() <= objects(root).items()
    assert act is not back_up or unfinished(root) == []
