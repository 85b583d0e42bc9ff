"""Whoever was erased is in no byte of a database's base backups and WAL, once these are as old as their rule says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.sync import open_platform, sync_changes
from data_platform.sync.backup import make_backup, prune
from data_platform.sync.database_backup import back_up_database, listed, prune_database
from data_platform.sync.erasing import freeze, steps
from data_platform.sync.erasing.certificate import certify
from data_platform.sync.wal import receiver
from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.company.search import files, layers

pytestmark = pytest.mark.slow
NEEDLE = b"zqx-somebody-777"
SUBJECTS = {"subjects": {"customer": {"lookups": {"id": "shop/orders.id"}}}}
BLOCK = "{engine: native, url_env: KEEPER_URL, keep_days: 14}"


def holding(company: Company) -> list[str]:
    """The files of the backup store that hold the needle, unpacked."""
    return [
        name
        for name, data in files(company.root / "backups")
        if any(NEEDLE in layer for layer in layers(data))
    ]


def kinds(names: list[str]) -> set[str]:
    return {
        "wal" if "/wal/" in f"/{name}" else "database" if name.startswith("database/") else name.split("/")[0]
        for name in names
    }


@pytest.fixture
def held(company: Company) -> Iterator[Company]:
    company.execute(f"update orders set note = '{NEEDLE.decode()}' where id = 777")
    yield company


def test_base_backups_and_wal_lose_the_person_with_their_days(held: Company) -> None:
    platform = held.platform(BLOCK)
    (held.root / "catalog/subjects.yaml").write_text(yaml.safe_dump(SUBJECTS))
    platform = open_platform(
        held.root, "local", {**platform.environ, KEY_VARIABLE: "a key of this test, which is long enough"}
    )
    ship = receiver(platform, "shop", lambda _: None).once
    ship()
    back_up_database(platform, "shop", full=True)
    held.execute(f"update orders set note = note || '{NEEDLE.decode()}' where id = 777")
    ship()
    for report in sync_changes(platform, "shop"):
        assert report.error is None, report.error
    make_backup(platform)
    assert {"database", "wal"} <= kinds(holding(held)), "the search finds it in both"
    customer = platform.catalog.subject("customer")
    found = freeze.found(platform, customer, {"id": ["777"]})
    request = freeze.ask(platform, customer, found, "request 1", "the officer")
    done = steps.carry_out(platform, request.id, list)
    assert {one.name for one in certify(platform, done).remains} == {"warehouse", "database shop"}

    # the person is erased at the source as well, and the days of the backups pass
    held.execute(
        "delete from orders where id = 777", "vacuum full orders", "checkpoint", "select pg_switch_wal()"
    )
    ship()
    back_up_database(platform, "shop", full=True)
    newer, _ = listed(platform, "shop")
    (until,) = {one.until for one in certify(platform, done).remains if one.name == "database shop"}
    assert until == newer.backup.ended_at + timedelta(days=14)
    ship()
    later = replace(platform, clock=lambda: platform.clock() + timedelta(days=40))
    prune_database(later, "shop")
    make_backup(later)
    prune(later)
    assert holding(held) == []
    assert not certify(later, done).open
