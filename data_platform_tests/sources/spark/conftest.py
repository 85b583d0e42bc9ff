"""A project with a shop's events and Spark jobs over them; Spark of this machine, and a Spark Connect server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.landing.manifest import Part
from data_platform.landing.part import sha256_of
from data_platform.sync import Platform
from data_platform.tables import Column, TableId
from data_platform_tests.contracts.batches import manifest, write_part
from data_platform_tests.servers.objects import ACCESS_KEY, SECRET_KEY, ObjectServer
from data_platform_tests.sources.project import SourceProject

REAL_SERVER = "DATA_PLATFORM_TEST_SPARK_CONNECT"
SPARK = Path(__file__).parents[3] / ".spark"
EVENTS_ID = TableId("shop", "events")
EVENTS = (
    Column("event_id", "UUID", "uuid", nullable=False),
    Column("user_id", "BIGINT", "bigint"),
    Column("event_type", "VARCHAR", "text"),
    Column("occurred_at", "TIMESTAMPTZ", "timestamp with time zone"),
)
SMALL = {
    "spark.sql.shuffle.partitions": 1,
    "spark.sql.adaptive.enabled": False,
    "spark.sql.codegen.wholeStage": False,
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
"""Of tables of a few rows, most of the time is what prepares for many: Java's second compiler took half of it."""
WORDS = {"user_id": "bigint", "day": "date", "events": "bigint"}
SQL = (
    "select user_id, to_date(occurred_at) as day, count(*) as events\n"
    "from events where user_id is not null group by 1, 2"
)


def missing() -> str | None:
    """Why no Spark runs here."""
    if not (SPARK / "bin" / "python").exists():
        return "Spark is not installed: make spark"
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        return "Java is not installed: make test-tools"
    return None


class Project(SourceProject):
    source = "counts"
    remote = "local[2]"

    @property
    def variables(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"SPARK_REMOTE": self.remote}

    def write(self, tables: Mapping[str, Any] | None = None, **connection: Any) -> Project:
        """The catalog: a shop whose events have landed, and jobs that are files in ``spark/``."""
        (self.root / "spark").mkdir(exist_ok=True)
        reached = {"remote_env": "SPARK_REMOTE", "environment": str(SPARK), **connection}
        self.catalog(
            kind="spark", connection=reached, start="2026-01-01", tables_in="spark", tables=dict(tables or {})
        )
        shop = {
            "source": "shop",
            "kind": "postgres",
            "connection": {"url_env": "SHOP_URL"},
            "start": "2026-01-01",
            "tables": {"events": {"key": "event_id", "partition": "occurred_at"}},
        }
        (self.root / "catalog/sources/shop.yaml").write_text(yaml.safe_dump(shop))
        return self

    def job(self, name: str, text: str, end: str = "sql", **block: Any) -> Path:
        """A job with its head beside it."""
        head = {"inputs": {"events": "shop/events"}, "types": WORDS, "key": ["user_id", "day"], **block}
        (self.root / f"spark/{name}.yaml").write_text(yaml.safe_dump(head))
        path = self.root / f"spark/{name}.{end}"
        path.write_text(text)
        return path

    def land(self, load: str, rows: list[tuple[Any, ...]], **changes: Any) -> None:
        """A batch of the shop's events."""
        platform: Platform = self.platform()
        head = platform.ledger.head(changes.setdefault("table", EVENTS_ID))
        settings = {
            "columns": EVENTS,
            "key": ("event_id",),
            "partition": "occurred_at",
            "version": None,
        } | changes
        sequence = head.sequence + 1 if head else 1
        with platform.store.scratch() as folder:
            path = write_part(folder / "part.parquet", settings["columns"], rows)
            key = f"{settings['table']}/batches/{sequence:08d}-00000000/part-0000.parquet"
            part = Part(key, len(rows), path.stat().st_size, sha256_of(path))
            platform.store.put_file(key, path)
        made = manifest(
            sequence, load, len(rows), parts=(part,), previous=head.digest if head else None, **settings
        )  # type: ignore[arg-type]
        platform.ledger.commit(made)


def event(n: int, user: int | None, at: str, kind: str = "page_view") -> tuple[Any, ...]:
    return (f"00000000-0000-0000-0000-{n:012d}", user, kind, f"{at}+00")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path).write()


@pytest.fixture
def spark(project: Project) -> Project:
    """The project, where Spark runs."""
    if (why := missing()) is not None:
        pytest.skip(why)
    return project


@pytest.fixture(scope="session")
def connect(tmp_path_factory: pytest.TempPathFactory, s3_server: ObjectServer) -> Iterator[str]:
    """The address of a Spark Connect server: Sail's, which starts in a second and reaches the tests' bucket; Spark's own where
    ``REAL_SERVER`` is set."""
    if (why := missing()) is not None:
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("connect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command, environ = (
        spark_server(port, folder) if os.environ.get(REAL_SERVER) else sail_server(port, s3_server.url)
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **environ}, cwd=folder, start_new_session=True
        )
    try:
        for _ in range(600):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def sail_server(port: int, bucket: str) -> tuple[list[str], dict[str, str]]:
    sail = SPARK.parent / ".engines/sail/bin/sail"
    if not sail.exists():
        pytest.skip("Sail is not installed: make engines")
    environ = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT": bucket,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    return [str(sail), "spark", "server", "--port", str(port)], environ


def spark_server(port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    home = next(SPARK.glob("lib/python3*/site-packages/pyspark"))
    conf = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder),
        "spark.local.dir": str(folder),
    }
    command = [
        *(
            str(home / "bin/spark-submit"),
            "--class",
            "org.apache.spark.sql.connect.service.SparkConnectServer",
        ),
        *("--master", "local[2]", *(word for pair in conf.items() for word in ("--conf", "=".join(pair)))),
    ]
    return command, {"SPARK_HOME": str(home), "PYSPARK_PYTHON": str(SPARK / "bin/python")}
