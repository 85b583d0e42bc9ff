"""The asset of the keystore's copies: one a day that opens, none too old; rows sealed under the key of nobody are counted."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from data_platform.audit.trail import Filter
from data_platform.defs.build import build
from data_platform.defs.keystore import COPIED, EXPIRED, NAMED, OPENS
from data_platform.defs.names import KEYSTORE, raw_key
from data_platform.keystore.copies import copies
from data_platform.tables import TableId
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import metadata

pytestmark = pytest.mark.slow
COPIES = {"backups": {"path": "copies"}}
MASTER = "of-the-tests-at-least-32-characters"


def sealing(project: Project, monkeypatch: pytest.MonkeyPatch, **keystore: object) -> Project:
    """Its users belong to households, and their addresses are sealed under the key of these."""
    monkeypatch.setenv("DATA_PLATFORM_MASTER_KEY", MASTER)
    platform, shop = (project.root / f"catalog/{name}.yaml" for name in ("platform", "sources/shop"))
    whole = yaml.safe_load(platform.read_text())
    for environment in whole["environments"].values():
        environment["keystore"] = {"kind": "sqlite", "path": "keys/k.sqlite", **keystore}
    platform.write_text(yaml.safe_dump(whole))
    source = yaml.safe_load(shop.read_text())
    source["tables"]["users"]["subject"] = "household"
    source["tables"]["users"]["personal"]["email"] = "seal"
    shop.write_text(yaml.safe_dump(source))
    project.execute("alter table users add household int; update users set household = user_id / 2")
    return replace(project, definitions=build(project.platform().catalog, "local"))


def judged(project: Project, *, fails: bool = False) -> dict[str, dg.AssetCheckEvaluation]:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    checks = {COPIED, EXPIRED, OPENS, NAMED}
    result = job.get_subset(asset_selection={KEYSTORE}, asset_check_selection=checks).execute_in_process(
        instance=project.instance, raise_on_error=False
    )
    assert result.success is not fails
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def failing(found: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, one in found.items() if not one.passed}


def aged(copy: Path, days: int) -> Path:
    """``copy`` under the name that it had if it were so old."""
    (made,) = [one.made_at for one in copies(copy.parent) if one.path == copy]
    return copy.rename(copy.with_name(f"keystore-{made - timedelta(days=days):%Y%m%dT%H%M%S%f}Z.sqlite"))


def test_a_copy_is_made_each_day_and_what_is_wrong_with_copies_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = sealing(project, monkeypatch, **COPIES)
    assert failing(judged(project)) == set(), "nothing was sealed yet"
    assert copies(project.root / "copies") == []
    assert project.sync("users", checks=False).success
    assert failing(judged(project)) == set()
    found = metadata(project, KEYSTORE)
    assert found["copies"] == 1 and found["subjects"] == found["keys_opened"]
    assert list(project.platform().trail.search(Filter(action="keystore"), []))
    (first,) = copies(project.root / "copies")
    old = aged(first.path, 8)
    assert failing(judged(project)) == set() and not old.exists(), "the next copy removes it"
    (second,) = copies(project.root / "copies")
    aged(second.path, 8)
    monkeypatch.setattr("data_platform.sync.keys_kept.make", _unwritable)
    found_ = judged(project, fails=True)
    assert failing(found_) == {COPIED.name, EXPIRED.name}, "it says so where no new copy can be made"
    assert "are still in there" in str(found_[EXPIRED.name].description)


def _unwritable(*given: object) -> None:
    from data_platform.errors import KeystoreUnreachable

    raise KeystoreUnreachable("The keystore could not be copied: no space is left.")


def test_a_copy_that_does_not_open_fails_its_check(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = sealing(project, monkeypatch, **COPIES)
    assert project.sync("users", checks=False).success
    assert failing(judged(project)) == set()
    (copy,) = copies(project.root / "copies")
    with closing(sqlite3.connect(copy.path)) as connection:  # as of a disk that lost a bit of each key
        connection.execute("UPDATE subjects SET wrapped = zeroblob(length(wrapped))")
        connection.commit()
    monkeypatch.setattr("data_platform.sync.keys_kept.make", _unwritable)
    assert failing(judged(project, fails=True)) == {OPENS.name}
    shutil.copy(os.devnull, copy.path)
    assert failing(judged(project, fails=True)) == {OPENS.name}


def test_rows_of_nobody_are_counted_by_table(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = sealing(project, monkeypatch)
    project.execute("update users set household = null where user_id in (select user_id from users limit 3)")
    assert project.sync("users", checks=False).success
    found = judged(project)
    assert failing(found) == {COPIED.name, NAMED.name}, "no folder for copies is named"
    assert "backups: {path" in str(found[COPIED.name].description)
    assert "raw_shop.users: 3 rows" in str(found[NAMED.name].description)
    assert found[NAMED.name].metadata["count"].value == 3
    assert {found[name].severity for name in failing(found)} == {dg.AssetCheckSeverity.WARN}
    node = project.definitions.resolve_asset_graph().get(KEYSTORE)
    assert node.parent_keys == {raw_key(TableId("shop", "users"))}


def test_there_is_no_asset_without_a_keystore(project: Project) -> None:
    assert not project.definitions.resolve_asset_graph().has(KEYSTORE)
