"""Retention while any one call of a store fails: it is said, nothing goes but what the rule names, and the next run ends it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from data_platform.audit.trail import Filter
from data_platform.backups.database.repository import Repository
from data_platform.chained.verify import verify
from data_platform.cli.app import run
from data_platform.errors import DataPlatformError, StoreUnreachable
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform, backup, open_platform
from data_platform.sync.backup import Pruned, archives
from data_platform.sync.database_backup import prune_database
from data_platform_tests.backups.calls import MARK, Calls, How
from data_platform_tests.backups.conftest import NOW, Box
from data_platform_tests.backups.database.conftest import CATALOG, SOURCE
from data_platform_tests.backups.database.test_repository import stored

pytestmark = pytest.mark.slow  # every call of an act, one after the other
LATER = timedelta(days=90)
"""After the newest backup: all are older than the rule keeps."""


def warehouse(platform: Platform) -> Pruned:
    return backup.prune(platform)


def database(platform: Platform) -> Pruned:
    return prune_database(platform, "shop")


@pytest.fixture
def root(box: Box) -> Path:
    """A folder with two archives, each with backups of two days of the warehouse, and of the database a full one, another full
    one, and an incremental one on that."""
    copies = "{offsite: {kind: local, path: offsite}}"
    (box.root / "catalog/sources").mkdir(parents=True)
    (box.root / "catalog/platform.yaml").write_text(CATALOG.format(copies=copies))
    (box.root / "catalog/sources/shop.yaml").write_text(SOURCE.format(block="{engine: native}"))
    both = archives(at(box.root))
    for day in (0, 1):
        box.back_up(*both, nonce=f"0000000{day}", at=NOW + timedelta(days=day))
    for archive in both:
        repository = Repository(archive, "shop")
        stored(repository, box.root, hour=3)
        stored(repository, box.root, parent=stored(repository, box.root, hour=4), hour=5)
    return box.root


def at(root: Path) -> Platform:
    environ = {"SHOP_URL": "postgresql://nobody@127.0.0.1:1/shop"}
    return replace(open_platform(root, "local", environ), clock=lambda: NOW + LATER)


def objects(root: Path) -> dict[str, bytes]:
    found = [path for name in ("backups", "offsite") for path in (root / name).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("prune", [warehouse, database])
def test_any_call_may_fail(
    root: Path,
    tmp_path: Path,
    prune: Callable[[Platform], Pruned],
    how: How,
) -> None:
    clean, counted = shutil.copytree(root, tmp_path / "clean"), Calls()
    with counted.installed():
        found = prune(at(clean))
    assert not found.failed and all(found.gone[name] for name in ("primary", "offsite"))
    done, _ = (one.body for one in at(clean).trail.search(Filter(action="backup_deletion"), []))
    gone = sorted({name.replace("wal ", "wal/") for names in found.gone.values() for name in names})
    assert done["objects"][1:] == gone and done["details"]["archives"] == ["offsite", "primary"]
    assert done["details"]["deleted"] == sum(map(len, found.gone.values()))
    kept = objects(clean)
    assert kept and len(kept) < len(objects(root))
    for number, (method, what) in enumerate(counted.seen):
        case = shutil.copytree(root, tmp_path / f"case-{number}")
        if "_audit/" in what:
            _the_trail_fails(case, prune, Calls(number, how), kept)
            shutil.rmtree(case)
            continue
        with Calls(number, how).installed():
            found = prune(at(case))
        (error,) = found.failed.values()
        assert MARK in str(error) and what in str(error), f"{how} {method} {what}"
        left = objects(case)
        assert kept.items() <= left.items(), f"{how} {method} {what}"
        healthy = {"backups/": "primary", "offsite/": "offsite"}
        (good,) = [folder for folder, name in healthy.items() if name not in found.failed]
        assert {key for key in left if key.startswith(good)} == {key for key in kept if key.startswith(good)}
        assert not prune(at(case)).failed
        assert objects(case) == kept, f"{how} {method} {what}"
        shutil.rmtree(case)


def _the_trail_fails(
    case: Path, prune: Callable[[Platform], Pruned], faulty: Calls, kept: dict[str, bytes]
) -> None:
    """What was deleted is in the audit trail; the fault is said, unless it is of a hint; and the next run ends it."""
    before, loud = objects(case), False
    with faulty.installed():
        try:
            loud = bool(prune(at(case)).failed)
        except StoreUnreachable as error:
            loud = MARK in str(error)
    left = objects(case)
    assert loud or faulty.seen[faulty.at][0] == "put_hint"
    assert kept.items() <= left.items()
    events = [one.body for one in at(case).trail.search(Filter(action="backup_deletion"), [])]
    assert left == before or "started" in {one["outcome"] for one in events}
    assert not prune(at(case)).failed
    assert objects(case) == kept
    assert verify(at(case).trail.log).problems == ()


def test_the_command_names_the_archive_where_it_failed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    delete = LocalStore.delete

    def refused(self: LocalStore, key: str) -> None:
        if self.path.name == "offsite":
            raise StoreUnreachable(f"No answer for {key}.")
        delete(self, key)

    monkeypatch.setattr(LocalStore, "delete", refused)
    monkeypatch.setattr("data_platform.sync.open_platform", lambda *_, **__: at(root))
    assert run(["backup", "prune", "--yes", "--root", str(root)]) == 8
    said = capsys.readouterr()
    assert "could not be removed from the archive offsite: No answer for" in said.err
    assert run(["backup", "prune", "--yes", "--root", str(root), "--json"]) == 8
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"] and {one["archive"] for one in found["failed"]} == {"offsite"}


def test_what_cannot_be_asked_is_no_damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for damaged, the newest good backup would go, and an older one stay in its place."""

    def silent(self: LocalStore, key: str) -> int:
        raise StoreUnreachable("No answer.")

    monkeypatch.setattr(LocalStore, "size", silent)
    one = archives(at(root))[0]
    with pytest.raises(DataPlatformError, match="No answer"):
        one.damage(one.chosen("latest"), deep=False)
    with pytest.raises(DataPlatformError, match="No answer"):
        Repository(one, "shop").newest_good()
    assert backup.newest(at(root))[0].problem == "No answer."
