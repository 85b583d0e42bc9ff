"""What a tick takes is gone after it: a code server makes thousands of them a day, for months."""

from __future__ import annotations

import gc
import sys
import time

import dagster as dg
import pytest
from alembic.script import ScriptDirectory
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin
from dagster._core.remote_representation.external_data import SensorExecutionErrorSnap
from dagster._core.storage import sql
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.impl import get_external_sensor_execution

from data_platform.defs import migrations
from data_platform_tests.defs.conftest import Project

ROUNDS_BEFORE, ROUNDS = 8, 12
SENSORS = ("alerts", "report_batches", "shop_probe", "tidy_records")
LOCATION = ManagedGrpcPythonEnvCodeLocationOrigin(
    LoadableTargetOrigin(module_name="data_platform.definitions"), "data_platform"
)


def tick(repository: dg.RepositoryDefinition, project: Project, name: str, cursor: str | None) -> str | None:
    """By the code server's own function, which opens Dagster's records anew; returns the cursor after it."""
    made = get_external_sensor_execution(
        repository, LOCATION, project.instance.get_ref(), name, time.time(), None, cursor, None, None
    )
    assert not isinstance(made, SensorExecutionErrorSnap), made.error
    return made.cursor


def kept() -> tuple[int, int]:
    """The objects that the collector knows, and all blocks of Python's own memory."""
    gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks()


@pytest.mark.parametrize("installed", [True, False])
def test_a_tick_of_each_sensor_leaves_nothing_behind(
    project: Project, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(sql, migrations.NAME, ScriptDirectory)
    if installed:
        migrations.install()
    assert project.sync("users").success
    repository, cursors = project.repository, dict[str, str | None]()

    def rounds(number: int) -> None:
        for _ in range(number):
            for name in SENSORS:
                cursors[name] = tick(repository, project, name, cursors.get(name))

    rounds(ROUNDS_BEFORE)  # caches fill
    objects, blocks = kept()
    rounds(ROUNDS if installed else ROUNDS // 4)  # which keeps hundreds of objects a round
    more, larger = kept()
    # one object that each round kept would show, and so would a hundred small values that the collector does not know
    flat = more - objects < ROUNDS and larger - blocks < 100 * ROUNDS
    assert flat is installed, f"{more - objects} objects, {larger - blocks} blocks"
