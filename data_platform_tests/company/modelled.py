"""The company's models as dbt builds them; ``world.build`` makes some of them without dbt, which takes less time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.cli.generated import write_all
from data_platform.defs.derived_models import derived_models
from data_platform.sync.erasing import models
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.derived import Derived
from data_platform.warehouses.duckdb.config import PATH_VARIABLE
from data_platform_tests.company.world import World
from data_platform_tests.dbt.runner import Dbt
from data_platform_tests.repository import ROOT

OURS = ("profiles.yml", "macros/generate_schema_name.sql")
"""Of the project that this repository ships."""
KEYLESS, LASTING = "marts.greetings", "marts.labels"
"""Models that hand on no key: one that every build makes again, and one that a full build alone does."""


@contextmanager
def built(world: World) -> Iterator[Dbt]:
    """dbt over the company's warehouse, every model built once."""
    folder = world.root / "dbt"
    shutil.copytree(Path(__file__).with_name("dbt"), folder)
    for file in OURS:
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "dbt" / file, folder / file)
    write_all(load_catalog(world.root))
    dbt = dbt_of(world.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PATH_VARIABLE, str(dbt.path))
        patch.delenv("DATA_PLATFORM_DBT_TARGET", raising=False)
        dbt.parse()
        build(dbt)
        yield dbt


def dbt_of(root: Path) -> Dbt:
    return Dbt(root, root / "dbt")


def build(dbt: Dbt, *options: str) -> None:
    """dbt keeps the file open for the next build of its process; here others want it."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    dbt("build", *options)
    DuckDBConnectionManager.env().close()


def followed(world: World) -> list[Derived]:
    """Which models hold a person's key, by dbt's manifest."""
    return derived_models(world.platform())


def built_again(world: World, dbt: Dbt) -> None:
    """As the certificates say it: dbt builds, one model in full, of which somebody tells; then the requests that waited are finished."""
    platform = world.platform()
    build(dbt)
    assert not models.settle_built(platform, {KEYLESS: datetime.now(UTC)}), "a build as always is not enough"
    build(dbt, "--full-refresh", "--select", LASTING.rpartition(".")[2])
    models.settle(platform, Book(platform).read().requests.values(), "the officer")


SAME = {
    "select person, name, secret from marts.people": "select user_id, name, secret from raw_shop.users",
    "select order_id, person from marts.purchases": "select order_id, user_id::varchar from raw_shop.orders",  # its notes are of when they came
    "select letter_id, person, text from marts.correspondence": "select letter_id, user_id, text from raw_office.letters",
    "select name from marts.labels": "select name from raw_shop.users",
    "select text from marts.greetings": "select 'Dear ' || name from raw_shop.users",
    "select user_id, name, secret from marts.people_history where dbt_valid_to is null": "select user_id, name, secret from raw_shop.users",
}


def wrong(world: World) -> list[str]:
    """Models that are not what the raw tables say, once they were built again."""
    with world.platform().warehouse(read_only=True) as warehouse:
        return [
            f"{model} has {len(has)} rows instead of {len(wanted)}"
            for model, raw in SAME.items()
            if (has := sorted(warehouse.query(model).rows)) != (wanted := sorted(warehouse.query(raw).rows))
        ]
