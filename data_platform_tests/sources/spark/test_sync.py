"""Jobs on Spark of this machine and on a Spark Connect server: what lands, what is told, what is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import yaml

from data_platform.defs import names, unpartitioned
from data_platform.defs.raw import raw_assets
from data_platform.defs.resources import resources
from data_platform.sync import sync_slices
from data_platform.sync.rebuild import rebuild
from data_platform.tables import Slice, TableId
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix
from data_platform_tests.sources.spark.conftest import EVENTS_ID, REAL_SERVER, SMALL, SQL, Project, event

DAILY = "select user_id, day, events from raw_counts.{} order by all"
PYTHON = """
import logging

from pyspark.sql import functions as f


def run(spark, inputs, days):
    events = inputs["events"].where("user_id is not null")
    logging.getLogger("spark_job").info("days: %s", days)
    return events.groupBy("user_id", f.to_date("occurred_at").alias("day")).agg(f.count("*").alias("events"))
"""
VALUE = "secret-of-a-row"
AT_A_ROW = """
from pyspark.sql import functions as f


@f.udf("bigint")
def doubled(kind):
    return 2 * int(kind)


def run(spark, inputs, days):
    return inputs["events"].select("user_id", f.to_date("occurred_at").alias("day"), doubled("event_type").alias("events"))
"""
WRONG = {
    "no_such_column": ("select nobody\nfrom events", "sql", "spark/no_such_column.sql:1: A column"),
    "another_type": (SQL.replace("count(*)", "'x'"), "sql", "its column events is string, and `types` says bigint"),
    "too_few": ("select user_id from events", "sql", "it gives no column day; it gives no column events"),
    "no_sql": ("select 1\nfrm events", "sql", "spark/no_sql.sql:"),
    "a_bad_cast": (SQL.replace("count(*)", "max(cast(event_type as bigint))"), "sql", "the job failed at spark/a_bad_cast.sql"),
    "at_a_row": (AT_A_ROW, "py", "the job failed at spark/at_a_row.py:"),
    "raises": ("def run(spark, inputs, days):\n    raise ValueError('secret-of-a-row')\n", "py", "spark/raises.py:2 (ValueError)"),
    "no_function": ("x = 1\n", "py", "it has no function `run(spark, inputs, days)`"),
    "no_python": ("def run(:\n", "py", "spark/no_python.py:1: it is no Python"),
}  # fmt: skip


def shop(project: Project) -> Project:
    project.land(
        "replace",
        [
            event(1, 1, "2026-01-01 10:00:00"),
            event(2, 1, "2026-01-01 11:00:00"),
            event(3, 2, "2026-01-02 09:00:00", VALUE),
        ],
    )
    project.land(
        "append",
        [
            event(3, 2, "2026-01-05 09:00:00"),
            event(4, 1, "2026-01-02 23:59:59.999999"),
            event(5, None, "2026-01-03 00:00:00"),
        ],
    )
    return project


FIRST = [(1, date(2026, 1, 1), 2), (1, date(2026, 1, 2), 1), (2, date(2026, 1, 2), 1)]


@pytest.mark.slow
def test_jobs_of_this_machine_land_and_each_fails_alone(spark: Project, tmp_path: Path) -> None:
    spark.write(conf=SMALL)
    spark.job("daily", SQL, partition="day", resources={"conf": {"spark.sql.shuffle.partitions": 2}})
    spark.job("in_python", PYTHON, end="py")
    for name, (text, end, _) in WRONG.items():
        spark.job(name, text, end=end)
    shop(spark)
    reports = spark.sync()
    assert {name for name, one in reports.items() if one.error is None} == {"daily", "in_python"}
    for name, (_, _, told) in WRONG.items():
        error = str(reports[name].error)
        assert told in error and error.startswith(f"counts/{name}: "), error
        assert VALUE not in error and "Nothing of it landed" in error
    assert spark.rows(DAILY.format("daily")) == spark.rows(DAILY.format("in_python")) == FIRST
    daily = reports["daily"]
    assert daily.notes == ("first read", "computed from shop/events up to batch 2")
    assert daily.facts["spark_stages"] >= 2 and daily.facts["spark_shuffle_bytes"] > 0  # type: ignore[operator]
    assert daily.manifest is not None and daily.manifest.position_after is not None
    assert daily.manifest.position_after.text == "shop/events up to batch 2"
    assert dict(daily.manifest.touched) == {"2026-01-01": 1, "2026-01-02": 2}
    left = [path for path in spark.root.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert not [path for path in left if VALUE.encode() in path.read_bytes() and "spark/" not in str(path)]
    rebuilt = rebuild(spark.platform(), tmp_path / "again.duckdb", tables=[TableId("counts", "daily")])
    assert [one.rows for one in rebuilt] == [3]


@pytest.mark.slow
def test_jobs_on_a_spark_connect_server(
    spark: Project, connect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Project, "remote", connect)
    path = spark.job("daily", SQL, partition="day")
    shop(spark)
    first = spark.good()["daily"]
    assert spark.rows(DAILY.format("daily")) == FIRST and first.operation == "refresh"

    again = spark.good()["daily"]
    assert again.manifest is None and not again.facts, "its inputs have not moved: Spark is not started"

    spark.land("merge", [event(1, 1, "2026-01-04 10:00:00"), event(6, 3, "2026-01-02 10:00:00")])
    days = [Slice("2026-01-02"), Slice("2026-01-04")]
    (sliced,) = sync_slices(spark.platform(), "counts", None, days)
    assert sliced.error is None and sliced.manifest is not None and sliced.manifest.load == "slice"
    assert sliced.position_after == first.position_after
    assert spark.rows(DAILY.format("daily")) == [
        (1, date(2026, 1, 1), 2), (1, date(2026, 1, 2), 1), (1, date(2026, 1, 4), 1), (2, date(2026, 1, 2), 1),
        (3, date(2026, 1, 2), 1),
    ]  # fmt: skip

    moved = spark.good()["daily"]
    assert "shop/events has moved to batch 3" in moved.notes
    assert spark.rows(DAILY.format("daily"))[0] == (1, date(2026, 1, 1), 1)

    path.write_text(SQL.replace("count(*)", "2 * count(*)"))
    changed = spark.good()["daily"]
    assert "the job or its columns changed" in changed.notes
    assert spark.rows(DAILY.format("daily"))[0] == (1, date(2026, 1, 1), 2)

    path.write_text(SQL.replace("count(*)", "max(cast(event_type as bigint))"))
    told = spark.failure("daily")
    assert "spark/daily.sql" in told and "page_view" not in told


@pytest.mark.slow
def test_a_cluster_reads_from_the_bucket_and_writes_into_it(
    spark: Project, connect: str, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.environ.get(REAL_SERVER):
        pytest.skip("Spark has no S3 client of its own; the tests' cluster that has one is Sail")
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Project, "remote", connect)
    file = spark.root / "catalog" / "platform.yaml"
    document = yaml.safe_load(file.read_text())
    document["environments"]["local"]["landing"] = s3_server.config(new_prefix(), cache="cache")
    file.write_text(yaml.safe_dump(document))
    spark.job("daily", SQL, partition="day")
    shop(spark)
    spark.good()
    assert spark.rows(DAILY.format("daily")) == FIRST
    assert spark.platform().store.list("_computed") == []


@pytest.mark.slow
def test_a_run_of_the_graph_has_the_jobs_log_lines_and_what_it_took(
    spark: Project, connect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Project, "remote", connect)
    monkeypatch.setenv("SPARK_REMOTE", connect)
    spark.job("in_python", PYTHON, end="py", partition="day")
    shop(spark)
    source, environment = spark.platform().catalog.source("counts"), spark.platform().environment
    unpartitioned.install()
    (assets,) = raw_assets(source, environment.warehouse, environment.runs)
    days = dg.DailyPartitionsDefinition("2026-01-01")
    events = dg.AssetSpec(names.raw_key(EVENTS_ID), partitions_def=days)
    key = names.raw_key(TableId("counts", "in_python"))
    assert assets.asset_deps[key] == {
        names.source_key(TableId("counts", "in_python")), names.raw_key(TableId("shop", "events")),
    }  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(events.key, partition="2026-01-02"))
        run = dg.materialize(
            [assets, dg.AssetsDefinition(specs=[events])],
            resources=resources(spark.root, "local"),
            instance=instance,
        )
        assert run.success
        logged = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert "days: None" in logged
    assert any(line.startswith("counts/in_python: done in ") for line in logged)
    assert not [line for line in logged if "[pipes] did not receive" in line]
    made = run.asset_materializations_for_node("sync_counts")
    (whole,) = (one for one in made if one.asset_key == key and one.partition is None)
    assert whole.metadata["rows"].value == 3


WAITS = """
import os, sys, time
def run(spark, inputs, days):
    open(os.path.join({folder!r}, "started"), "w").write(str(os.getpid()))
    time.sleep(600)
"""
SYNCS = """
import sys
from pathlib import Path
from data_platform.sync import open_platform, sync_changes
import os
list(sync_changes(open_platform(Path(sys.argv[1]), "local", dict(os.environ)), "counts"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("with_", [signal.SIGKILL, signal.SIGINT])
def test_who_is_killed_takes_spark_along(
    spark: Project, connect: str, tmp_path: Path, with_: signal.Signals
) -> None:
    spark.job("waits", WAITS.format(folder=str(tmp_path)), end="py")
    shop(spark)
    environ = {**os.environ, "SPARK_REMOTE": connect}
    syncing = subprocess.Popen(
        [sys.executable, "-c", SYNCS, str(spark.root)],
        env=environ,
        stderr=subprocess.DEVNULL,
        # a shell that starts tests in the background makes them ignore the interrupt
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        started = tmp_path / "started"
        assert until(lambda: started.exists() and bool(started.read_text()))
        child = int(started.read_text())
        syncing.send_signal(with_)
        syncing.wait(60)
        assert until(lambda: not alive(child))
    finally:
        syncing.kill()
        syncing.wait()


def until(found: object) -> bool:
    for _ in range(600):
        if found():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False
