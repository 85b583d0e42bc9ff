"""BigQuery for tests: its emulator (local-bigquery) in an environment of its own on loopback, or the service itself.

The emulator proves our client calls, our statements as GoogleSQL, names of jobs and transactions. It does not prove bytes,
slots, quotas, prices or the service's own conflicts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from data_platform.local_postgres import HOST, free_port
from data_platform.warehouses.bigquery.config import BigQueryConfig
from data_platform.warehouses.bigquery.exchange import drop_datasets
from data_platform_tests.servers.processes import running

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".engines/bigquery/bin/python"
PROJECT = "local-project"
REAL_PROJECT, REAL_LOCATION = "DATA_PLATFORM_TEST_BIGQUERY_PROJECT", "DATA_PLATFORM_TEST_BIGQUERY_LOCATION"
"""Name a project of the service, and where its datasets are made (default: EU). The machine's own credentials are taken."""
BYTES_BILLED_MAX = 100 * 1024 * 1024


@dataclass(frozen=True)
class BigQueryServer:
    """``url`` is where the emulator listens, None for the service itself. ``buckets`` is a folder whose folders the emulator reads
    as buckets of Google Cloud Storage."""

    url: str | None
    project: str
    location: str
    buckets: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def config(self, folder: Path) -> BigQueryConfig:
        """Datasets of a test's own, which its folder names."""
        return BigQueryConfig.model_validate(
            {
                "kind": "bigquery",
                "project": self.project,
                "location": self.location,
                "dataset_prefix": prefix(folder),
                "maximum_bytes_billed": BYTES_BILLED_MAX,
                "endpoint_url": self.url,
            }
        )

    def emptied(self, folder: Path) -> None:
        """The datasets of a test go, those beside them too."""
        for config in (self.config(folder), self.config(folder).elsewhere(other(folder))):
            with closing(config.session()) as session:
                drop_datasets(session, others=True)


def prefix(folder: Path) -> str:
    return f"test_{hashlib.md5(str(folder).encode()).hexdigest()[:12]}_"


def other(folder: Path) -> str:
    return f"{prefix(folder)}other"


def missing() -> str | None:
    """Why the emulator cannot be started; None where it can."""
    if PYTHON.exists():
        return None
    return "There is no emulator of BigQuery: `make engines` installs it, where there is a Python 3.13."


@contextmanager
def bigquery(folder: Path) -> Iterator[BigQueryServer]:
    """The service where the environment names a project of it, else the emulator."""
    if project := os.environ.get(REAL_PROJECT):
        yield BigQueryServer(None, project, os.environ.get(REAL_LOCATION, "EU"), folder)
        return
    with emulator(folder) as server:
        yield server


@contextmanager
def emulator(folder: Path, storage: str | None = None) -> Iterator[BigQueryServer]:
    """``storage`` is a server of Google Cloud Storage that it reads and writes buckets in."""
    folder.mkdir(parents=True, exist_ok=True)
    _place_extensions(folder)
    port, buckets = free_port(), folder / "buckets"
    url = f"http://{HOST}:{port}"
    command = [
        *(str(PYTHON), str(Path(__file__).with_name("emulator.py"))),
        *("--port", str(port), "--project", PROJECT),
        *("--data", str(folder / "data"), "--buckets", str(buckets)),
        *(("--storage", storage) if storage else ()),
    ]

    def ready() -> None:
        with urllib.request.urlopen(f"{url}/bigquery/v2/projects/{PROJECT}/datasets", timeout=30):
            pass

    environ = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    with running(command, folder, ready, env=environ):
        yield BigQueryServer(url, PROJECT, "US", buckets)


def _place_extensions(home: Path) -> None:
    """DuckDB looks for extensions in the home folder, under its version and the machine's name."""
    wheels = "lib/python3*/site-packages/duckdb_extension_*/extensions/*/*.duckdb_extension"
    for extension in PYTHON.parents[1].glob(wheels):
        place = home / ".duckdb/extensions" / extension.parent.name / _machine()
        place.mkdir(parents=True, exist_ok=True)
        if not (place / extension.name).exists():
            shutil.copy(extension, place)


def _machine() -> str:
    import duckdb

    (row,) = duckdb.sql("PRAGMA platform").fetchall()
    return str(row[0])
