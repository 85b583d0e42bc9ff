"""What Redshift and its services refuse is said in words, over its stand-in; its settings are checked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from data_platform.errors import ConfigurationError, QueryFailed, WarehouseError
from data_platform.warehouses.redshift.config import RedshiftConfig
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.engines.redshift.server import RedshiftServer, ServerError


def test_what_the_services_refuse_is_said(
    redshift: RedshiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, parts = Chain(tmp_path / "parts").next("merge", [(1, "2026-01-01", "secret-value", 1)])

    def said(**changes: Any) -> str:
        with (
            redshift.config(tmp_path, **changes).open(tmp_path) as warehouse,
            pytest.raises(WarehouseError) as caught,
        ):
            warehouse.load(made, parts)
        assert "secret" not in str(caught.value) and redshift.postgres.password not in str(caught.value)
        return str(caught.value)

    role = "arn:aws:iam::123456789012:role/copies"
    redshift.refused_roles.add(role)
    assert "may not take the IAM role" in said(iam_role=role)
    assert "the bucket is there" in said(staging="s3://no-such-bucket-here/x")
    redshift.fault = lambda sql, now: denied() if sql.startswith("COPY") else None
    assert "IAM role of COPY may not read" in said()
    redshift.fault = lambda sql, now: elsewhere() if sql.startswith("COPY") else None
    assert "in another region" in said()
    redshift.fault = lambda sql, now: crowded() if sql == "COMMIT" and now == "before" else None
    assert "error 1023" in said()
    redshift.fault = None
    assert "no warehouse at redshift://" in said(database="not_there")
    monkeypatch.setenv("TEST_REDSHIFT_PASSWORD", "wrong")
    assert "refused the user" in said()
    monkeypatch.delenv("TEST_REDSHIFT_PASSWORD")
    with (
        redshift.config(tmp_path).open(tmp_path) as warehouse,
        pytest.raises(ConfigurationError, match="is not set"),
    ):
        warehouse.loaded_all()
    redshift.emptied(tmp_path)


def denied() -> None:
    raise ServerError("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied")


def elsewhere() -> None:
    raise ServerError(
        "XX000",
        "S3ServiceException:The bucket must be addressed using the specified endpoint,Status 301,Error PermanentRedirect",
    )


def crowded() -> None:
    raise ServerError(
        "XX000",
        "1023 DETAIL: Serializable isolation violation on table - 100, transactions forming the cycle are: 1, 2",
    )


CHANGING_QUESTIONS = (
    "DROP TABLE x",
    "SELECT 1; SELECT 2",
    "WITH a AS (SELECT 1) DELETE FROM x",
    "SELECT 1 INTO x",
    "COPY x FROM 's3://b/k'",
    "CALL p()",
    "VACUUM x",
    "not sql at all",
    "SELECT nextval('counted')",
)
"""The last is a SELECT, and the server refuses it."""


def test_a_reader_asks_one_question_and_changes_nothing(redshift: RedshiftServer, tmp_path: Path) -> None:
    config = redshift.config(tmp_path)
    with psycopg.connect(redshift.postgres.url(config.database), autocommit=True) as connection:
        connection.execute("create sequence counted")
    with config.open(tmp_path, read_only=True) as warehouse:
        for statement in CHANGING_QUESTIONS:
            with pytest.raises(QueryFailed, match="did not run"):
                warehouse.query(statement)
        assert warehouse.query("SELECT 1 AS one UNION ALL SELECT 2", limit=1).rows == [(1,)]
        assert warehouse.query("SELECT 7 % 4, '%'").rows == [(3, "%")], "% is no sign of the client's"
    redshift.emptied(tmp_path)


def test_a_right_that_is_missing_is_named(
    opened_redshift: Callable[..., Any], redshift: RedshiftServer, tmp_path: Path
) -> None:
    made, parts = Chain(tmp_path / "parts").next("merge", [(1, "2026-01-01", "a", 1)])

    def refused(sql: str, now: str) -> None:
        if sql.startswith('CREATE SCHEMA IF NOT EXISTS "raw_shop"'):
            raise ServerError("42501", "permission denied for database analytics")

    with opened_redshift() as warehouse:
        redshift.fault = refused
        with pytest.raises(
            WarehouseError, match=r'create schema "raw_shop": permission denied for database analytics. Grant'
        ):
            warehouse.load(made, parts)
        redshift.fault = None
        assert warehouse.loaded_all() == []


def test_without_its_extra_it_says_which(
    redshift: RedshiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redshift_connector", None)
    with (
        redshift.config(tmp_path).open(tmp_path) as warehouse,
        pytest.raises(ConfigurationError, match=r"data-platform\[redshift\]"),
    ):
        warehouse.loaded_all()
    redshift.emptied(tmp_path)


def test_its_settings_are_checked_and_hold_no_password() -> None:
    base = {"kind": "redshift", "host": "h", "database": "analytics", "staging": "s3://bucket/staging"}
    assert (
        RedshiftConfig(**base, workgroup="etl").dbt_variables(Path())["DATA_PLATFORM_REDSHIFT_METHOD"]
        == "iam"
    )
    for wrong in (
        {},
        {"password_env": "X"},
        {"workgroup": "a", "cluster": "b"},
        {"workgroup": "a", "password": "x"},
        {"workgroup": "a", "staging": "bucket"},
    ):
        with pytest.raises(ValidationError):
            RedshiftConfig(**(base | wrong))
    with pytest.raises(ConfigurationError, match="no name of a database"):
        RedshiftConfig(**base, workgroup="etl").elsewhere('a"b')
