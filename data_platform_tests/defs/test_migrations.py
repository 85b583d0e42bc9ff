"""A tick opens Dagster's records anew; what that takes does not stay in the process."""

from __future__ import annotations

import gc
import shutil
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from alembic.script import ScriptDirectory
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage import sql

from data_platform.defs import migrations, watch
from data_platform_tests.defs.conftest import REPOSITORY


def stacks() -> int:
    """Alembic makes one for each reading of the scripts, and keeps it to the end."""
    gc.collect()
    return sum(type(one) is ExitStack for one in gc.get_objects())


def open_records(ref: InstanceRef) -> None:
    with dg.DagsterInstance.from_ref(ref) as again:
        for storage in (again.run_storage, again.event_log_storage):
            at, newest = storage.alembic_version() or (None, None)
            assert at == newest is not None


@pytest.mark.parametrize("installed", [False, True])
def test_opening_the_records_again_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(sql, migrations.NAME, ScriptDirectory)
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    if installed:
        migrations.install()
    with dg.DagsterInstance.get() as instance:
        ref = instance.get_ref()
    open_records(ref)
    before = stacks()
    for _ in range(5):
        open_records(ref)
    # without it they stay: the day they do not, `migrations.py` can go
    assert (stacks() - before == 0) is installed


def test_the_newest_revision_is_the_one_that_alembic_finds() -> None:
    config = sql.get_alembic_config(sql.__file__.replace("sql.py", "runs/sqlite/sqlite_run_storage.py"))
    again = migrations.Scripts.from_config(config)
    assert migrations.Scripts.from_config(config) is again
    assert again.as_revision_number("head") == ScriptDirectory.from_config(config).as_revision_number("head")


def test_the_location_that_watches_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, migrations.NAME, ScriptDirectory)
    watch.defs()
    assert getattr(sql, migrations.NAME) is migrations.Scripts
