"""BigQuery's types, statements, settings and errors as text: nothing is connected to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from google.api_core import exceptions as google

from data_platform.errors import ConfigurationError, LoadRefused, QueryFailed, UnsupportedType, WarehouseError
from data_platform.tables import Column, TableId
from data_platform.warehouses.bigquery import errors, types
from data_platform.warehouses.bigquery.config import BigQueryConfig
from data_platform.warehouses.bigquery.errors import Said
from data_platform.warehouses.bigquery.grammar import BigQueryGrammar
from data_platform.warehouses.remote.engine import Overtaken, RelationMissing, Transient
from data_platform.warehouses.remote.grammar import Placement

TABLE = TableId("shop", "orders")
DAY = Column("day", "DATE", "")
GRAMMAR = BigQueryGrammar("acme-data", "again_", location="EU")


def config(**settings: Any) -> BigQueryConfig:
    return BigQueryConfig.model_validate(
        {"kind": "bigquery", "project": "acme-data", "location": "EU"} | settings
    )


@pytest.mark.parametrize(
    ("landed", "held"),
    {
        "DECIMAL(10,2)": "NUMERIC(10, 2)",
        "DECIMAL(38,9)": "NUMERIC(38, 9)",
        "DECIMAL(29,0)": "NUMERIC(29)",
        "DECIMAL(30,0)": "BIGNUMERIC(30)",
        "DECIMAL(38,18)": "BIGNUMERIC(38, 18)",
        "DECIMAL(38,38)": "BIGNUMERIC(38, 38)",
        "UBIGINT": "NUMERIC(20)",
        "SMALLINT": "INT64",
        "FLOAT": "FLOAT64",
        "TIMESTAMP": "DATETIME",
        "TIMESTAMPTZ": "TIMESTAMP",
        "UUID": "STRING",
        "JSON": "STRING",
        "BIGINT[]": "STRING",
        "ENUM('a', 'b')": "STRING",
        "BLOB": "BYTES",
    }.items(),
)
def test_each_landed_type_has_one_that_keeps_every_value(landed: str, held: str) -> None:
    assert types.of_landed(landed) == held
    assert types.same(held, landed)
    assert not types.widens(held, landed)


@pytest.mark.parametrize("landed", ["HUGEINT", "UHUGEINT", "TIMESTAMP_NS", "STRUCT(a INTEGER)"])
def test_a_type_that_would_lose_values_is_refused_by_name(landed: str) -> None:
    with pytest.raises(UnsupportedType, match=r"keeps every value of .*as: "):
        types.of_landed(landed)


def test_a_bound_value_has_the_type_that_keeps_it() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 6)
    values = {
        "BOOL": True,
        "INT64": 2**62,
        "FLOAT64": 0.1,
        "STRING": "?",
        "BYTES": b"\x00",
        "NUMERIC": Decimal("12345678901234567890123456789.123456789"),
        "BIGNUMERIC": Decimal("0.0000000001"),
        "TIMESTAMP": at.replace(tzinfo=UTC),
        "DATETIME": at,
        "DATE": at.date(),
        "TIME": at.time(),
    }
    assert {types.of_value(value): value for value in values.values()} == values
    with pytest.raises(QueryFailed, match="binds no list"):
        types.of_value([1])


def test_a_type_widens_only_where_every_value_stays() -> None:
    assert types.widens("INT64", "DECIMAL(38,18)") and types.widens("NUMERIC(10, 2)", "DECIMAL(20,4)")
    assert types.widens("NUMERIC(10, 2)", "DECIMAL(38,18)")
    assert not types.widens("INT64", "DECIMAL(18,0)") and not types.widens("NUMERIC(10, 4)", "DECIMAL(12,2)")
    assert not types.widens("INT64", "DOUBLE") and not types.widens("STRING", "BIGINT")
    assert not types.widens("NUMERIC(20)", "HUGEINT")


def test_a_partition_and_a_cluster_become_the_head_of_a_table() -> None:
    columns = [Column("id", "BIGINT", ""), DAY, Column("at", "TIMESTAMPTZ", "")]

    def made(grammar: BigQueryGrammar, partition: str | None, *cluster: str) -> str:
        text = grammar.create_table("raw_shop", "orders", columns, Placement(partition, "UTC", cluster))
        sqlglot.parse_one(text, dialect="bigquery")
        return text.partition("`at` TIMESTAMP)")[2]

    assert made(GRAMMAR, None) == ""
    assert made(GRAMMAR, "day", "id", "day") == " PARTITION BY `day` CLUSTER BY `id`, `day`"
    assert made(GRAMMAR, "at") == " PARTITION BY TIMESTAMP_TRUNC(`at`, DAY)"
    strict = BigQueryGrammar(unit="month", require_partition_filter=True, partition_expiration_days=90)
    assert made(strict, "day") == (
        " PARTITION BY DATE_TRUNC(`day`, MONTH) OPTIONS (require_partition_filter = true, partition_expiration_days = 90)"
    )
    assert strict.all_rows("t", "day") == "(t.`day` IS NULL OR t.`day` IS NOT NULL)"
    assert GRAMMAR.all_rows("t", "day") == strict.all_rows("t", None) == "true"


def test_a_name_says_its_project_and_the_prefix_of_its_dataset() -> None:
    assert GRAMMAR.relation("raw_shop", "orders") == "`acme-data`.`again_raw_shop`.`orders`"
    assert GRAMMAR.create_schema("raw_shop").endswith("`again_raw_shop` OPTIONS (location = 'EU')")
    assert BigQueryConfig.dialect.schema("raw_shop") == "`raw_shop`"


@pytest.mark.parametrize(
    ("columns", "placement", "said"),
    [
        ([Column("a(b", "BIGINT", "")], Placement(), "a column a\\(b, a name that"),
        ([Column("_PARTITIONTIME", "BIGINT", "")], Placement(), "a column _PARTITIONTIME"),
        ([Column("Id", "BIGINT", ""), Column("id", "BIGINT", "")], Placement(), "Id and id, which"),
        ([Column(f"c{n}", "BIGINT", "") for n in range(10_001)], Placement(), "10,001 columns"),
        ([Column("f", "DOUBLE", "")], Placement(cluster=("f",)), "by f, a FLOAT64"),
        ([DAY], Placement(cluster=("day",) * 5), "by 5 columns"),
    ],
)
def test_a_table_that_cannot_be_is_refused_before_anything_is_sent(
    columns: list[Column], placement: Placement, said: str
) -> None:
    with pytest.raises(LoadRefused, match=said):
        GRAMMAR.check(TABLE, columns, placement)
    GRAMMAR.check(TABLE, [Column("größe in m", "BIGINT", ""), DAY], Placement("day"))
    with pytest.raises(LoadRefused, match="has a name"):
        GRAMMAR.check(TableId("shop", "a.b"), [DAY], Placement())


SECRET = "bob@example.com"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (Said("backendError", "x", 503), Transient, "just now"),
        (Said("", "bad gateway", 502), Transient, "just now"),
        (Said("rateLimitExceeded", "Exceeded rate limits", 403), Transient, "just now"),
        (Said("invalidQuery", "Transaction is aborted due to concurrent update against table a:b.c"), Transient, "just now"),
        (Said("invalidQuery", f"{errors.OVERTAKEN} at [3:1]"), Overtaken, "another load"),
        (Said("authError", "Invalid Credentials", 401), WarehouseError, "gcloud auth application-default login"),
        (
            Said("accessDenied", "Access Denied: Project acme: User does not have bigquery.jobs.create permission", 403),
            WarehouseError,
            r"lacks the permission bigquery.jobs.create on acme.*roles/bigquery.jobUser",
        ),
        (
            Said("accessDenied", "Access Denied: Table a:b.c: Permission bigquery.tables.updateData denied", 403),
            WarehouseError,
            r"bigquery.tables.updateData on a:b.c.*roles/bigquery.dataEditor",
        ),
        (
            Said("accessDenied", "Access Denied: Table a:b.c: Permission bigquery.tables.deleteSnapshot denied", 403),
            WarehouseError,
            r"bigquery.tables.deleteSnapshot on a:b.c.*roles/bigquery.dataOwner",
        ),
        (
            Said("accessDenied", "Access Denied: File gs://b/k: does not have storage.objects.get access", 403),
            WarehouseError,
            "storage.objects.get.*objectViewer",
        ),
        (Said("notFound", "Not found: Dataset acme:raw was not found in location EU", 404), RelationMissing, "acme:raw does not exist"),
        (Said("notFound", "Not found: URI gs://bucket/key"), WarehouseError, "gs://bucket/key does not exist in the landing"),
        (
            Said("invalid", "Cannot read and write in different locations: source: US, destination: EU"),
            WarehouseError,
            "source: US, destination: EU.*`location`",
        ),
        (
            Said("invalidQuery", "Too many partitions produced by query, allowed 4000, query produces at least 4001"),
            WarehouseError,
            "partition_unit: month",
        ),
        (Said("bytesBilledLimitExceeded", "Query exceeded limit for bytes billed: 1"), WarehouseError, "maximum_bytes_billed"),
        (
            Said("quotaExceeded", "Quota exceeded: Your table exceeded quota for imports per table", 403),
            WarehouseError,
            "a quota is used up. Quota exceeded: Your table",
        ),
        (Said("invalid", "Row size is larger than 100 MB"), WarehouseError, "10 MB a cell"),
        (Said("invalidQuery", f"Bad int64 value: {SECRET}"), WarehouseError, "it refused a value"),
        (Said("invalid", f"Error while reading data: Could not parse '{SECRET}' as NUMERIC"), WarehouseError, "it refused a value"),
    ],
)  # fmt: skip
def test_an_error_names_what_and_what_to_do_and_no_value(
    said: Said, kind: type[WarehouseError], words: str
) -> None:
    error = errors.readable(said, "load batch 3")
    assert type(error) is kind
    assert re.search(words, str(error), re.DOTALL), str(error)
    assert SECRET not in str(error)


def test_a_wrong_question_is_the_person_s_own() -> None:
    missing = Said("notFound", "Not found: Table acme:raw.orders was not found in location EU", 404)
    assert "acme:raw.orders does not exist" in str(errors.readable(missing, "ask", question=True))
    wrong = errors.readable(
        Said("invalidQuery", "Unrecognized name: idd at [1:8]", 400), "ask", question=True
    )
    assert type(wrong) is QueryFailed and "Unrecognized name: idd at [1:8]" in str(wrong)
    value = errors.readable(Said("invalidQuery", f"Bad double value: {SECRET}", 400), "ask", question=True)
    assert SECRET not in str(value)


def test_what_google_s_client_raises_is_read_by_its_code() -> None:
    raised = google.Forbidden("denied", errors=[{"reason": "quotaExceeded", "message": "Quota exceeded: x"}])
    assert errors.of_exception(raised) == Said("quotaExceeded", "Quota exceeded: x", 403)
    assert errors.of_exception(ValueError("x")) is None
    assert isinstance(errors.unanswered(ConnectionError(SECRET), "ask"), Transient)
    assert SECRET not in str(errors.unanswered(ConnectionError(SECRET), "ask"))


def test_dbt_s_text_is_shown_only_where_it_names_nothing_but_names() -> None:
    plain = errors.error_in(
        "Database Error in model a (models/a.sql)\n  Unrecognized name: idd at [3:5]\n  compiled code at x"
    )
    assert plain is not None and plain.names_only
    held = errors.error_in(
        f"Database Error in model a (models/a.sql)\n  Bad int64 value: {SECRET}\n  compiled code at x"
    )
    assert held is not None and not held.names_only and SECRET not in held.summary
    quoted = errors.error_in(
        f'Database Error in model a\n  Syntax error: Unexpected string literal "{SECRET}" at [1:2]'
    )
    assert quoted is not None and not quoted.names_only and SECRET not in quoted.summary
    assert errors.error_in("1 of 2 OK created sql table model marts.a") is None


def test_the_settings_of_a_warehouse() -> None:
    assert config().place(Path()) == "bigquery://acme-data/"
    assert config().elsewhere("again").dataset_prefix == "again_"
    with pytest.raises(ConfigurationError, match="letters, digits and"):
        config().elsewhere("/tmp/x.duckdb")
    for wrong in (
        {"project": "Acme Data"},
        {"maximum_bytes_billed": 1},
        {"password": "x"},
        {"dataset_prefix": "a-"},
    ):
        with pytest.raises(ValueError, match="validation error"):
            config(**wrong)


def test_dbt_gets_what_it_needs_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    given = config(dataset_prefix="again_", maximum_bytes_billed=10**9, impersonate="a@b.iam").dbt_variables(
        Path()
    )
    assert given == {
        "DATA_PLATFORM_BIGQUERY_PROJECT": "acme-data",
        "DATA_PLATFORM_BIGQUERY_LOCATION": "EU",
        "DATA_PLATFORM_BIGQUERY_IMPERSONATE": "a@b.iam",
        "DATA_PLATFORM_BIGQUERY_MAXIMUM_BYTES_BILLED": "1000000000",
        "DATA_PLATFORM_SCHEMA_PREFIX": "again_",
    }
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/keys/adc.json")
    assert config().dbt_variables(Path())["GOOGLE_APPLICATION_CREDENTIALS"] == "/keys/adc.json"
    monkeypatch.setenv("KEY", "/keys/account.json")
    by_key = config(credentials_env="KEY").dbt_variables(Path())
    assert by_key["DATA_PLATFORM_BIGQUERY_METHOD"] == "service-account"
    assert by_key["DATA_PLATFORM_BIGQUERY_KEYFILE"] == "/keys/account.json"
    monkeypatch.setenv("KEY", '{"private_key": "x"}')
    with pytest.raises(ConfigurationError, match="as a file") as raised:
        config(credentials_env="KEY").dbt_variables(Path())
    assert "private_key" not in str(raised.value)


def test_a_key_that_is_none_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KEY", raising=False)
    with (
        pytest.raises(ConfigurationError, match="KEY is not set"),
        config(credentials_env="KEY").open(tmp_path) as warehouse,
    ):
        warehouse.loaded_all()
    monkeypatch.setenv("KEY", '{"type": "service_account", "private_key": "not one"}')
    with (
        pytest.raises(ConfigurationError, match="KEY of the warehouse holds no") as raised,
        config(credentials_env="KEY").open(tmp_path) as warehouse,
    ):
        warehouse.loaded_all()
    assert "not one" not in str(raised.value)
