"""The block `backups.database` of a source's file, and the server that it leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.errors import ConfigurationError
from data_platform.sources.kinds import server_access
from data_platform_tests.catalog.documents import SOURCE, mistakes, only, write

ORDERS = "  orders: {key: id}\n"
URLS = {
    "SHOP_DATABASE_URL": "postgresql://reader:r-secret@db:5432/shop",
    "SHOP_BACKUP_URL": "postgresql://keeper:k-secret@db/shop?sslmode=require",
}


def test_a_source_without_the_block_has_no_backups(tmp_path: Path) -> None:
    assert load_catalog(write(tmp_path, ORDERS)).sources["shop"].backups is None


def test_the_block_is_read_with_its_defaults(tmp_path: Path) -> None:
    block = "backups: {database: {url_env: SHOP_BACKUP_URL, every_hours: 2}}\n"
    found = load_catalog(write(tmp_path, ORDERS, source=SOURCE + block)).sources["shop"].backups
    assert found is not None and found.database is not None
    assert (found.database.engine, found.database.keep_days, found.database.age_limit_hours) == (
        "native",
        7,
        6,
    )


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("backups: {database: {engine: tape}}\n", "must be one of native, logical, barman_cloud, pgbackrest"),
        ("backups: {database: {engine: pgbackrest}}\n", "belong together"),
        (
            "backups: {database: {barman_cloud: {store: {kind: s3, bucket: acme-x}, server: shop}}}\n",
            "belong together",
        ),
        ("backups: {database: {every_hours: 0}}\n", "must be greater than 0"),
        ("backups: {database: {drill_schedule: daily}}\n", "drill_schedule"),
        ("backups: {database: {url_env: 'postgres://x'}}\n", "url_env"),
    ],
)
def test_a_mistake_in_it_is_named(tmp_path: Path, block: str, words: str) -> None:
    assert words in only(write(tmp_path, ORDERS, source=SOURCE + block))


def test_a_kind_without_a_server_refuses_it(tmp_path: Path) -> None:
    source = "source: shop\nkind: rest\nconnection: {base_url: https://api.example.com}\nbackups: {database: {engine: native}}\n"
    found = mistakes(write(tmp_path, "  orders: {key: id, endpoint: {path: /orders}}\n", source=source))
    assert any("has no server that could be backed up" in mistake for mistake in found)


def test_the_server_is_the_role_of_the_block_or_the_source_and_never_its_replica(tmp_path: Path) -> None:
    source = load_catalog(
        write(tmp_path, ORDERS, source=SOURCE.replace("_URL}", "_URL, replica_url_env: SHOP_REPLICA}"))
    ).sources["shop"]
    environ = {**URLS, "SHOP_REPLICA": "postgresql://x@replica/shop"}
    own = server_access(source.kind, source.connection, environ, source="shop", url_env=None)
    other = server_access(source.kind, source.connection, environ, source="shop", url_env="SHOP_BACKUP_URL")
    assert (own.parameters["user"], own.parameters["host"], own.variable) == (
        "reader",
        "db",
        "SHOP_DATABASE_URL",
    )
    assert (other.parameters["user"], other.parameters["sslmode"]) == ("keeper", "require")
    assert "secret" not in repr(own) + repr(other)


def test_a_variable_that_is_missing_is_named(tmp_path: Path) -> None:
    source = load_catalog(write(tmp_path, ORDERS)).sources["shop"]
    with pytest.raises(ConfigurationError, match="SHOP_BACKUP_URL"):
        server_access(source.kind, source.connection, {}, source="shop", url_env="SHOP_BACKUP_URL")
