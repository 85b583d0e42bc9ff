"""The company that the cases are copies of."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.backups.database.faults.prepared import Prepared, prepare


@pytest.fixture(scope="module")
def original(kept_server: PostgresServer, server_folder: Path) -> Iterator[Prepared]:
    name = f"shop_{uuid.uuid4().hex[:12]}"
    kept_server.create_database(name)
    root = server_folder / f"prepared-{name}" / "original"
    root.mkdir(parents=True, mode=0o711)
    root.parent.chmod(0o711)
    company = Company(root, kept_server, name)
    company.execute(
        "create table orders (id bigint primary key, note text)",
        "insert into orders select n, 'note ' || n from generate_series(1, 20000) n",
    )
    yield prepare(company)
    kept_server.drop_database(name)


@pytest.fixture
def fresh(original: Prepared) -> Callable[[], Prepared]:
    """Makes another copy of the company."""
    numbers = count()
    folder = original.root.parent / uuid.uuid4().hex[:8]
    folder.mkdir(mode=0o711)
    return lambda: original.copy(folder / str(next(numbers)))
