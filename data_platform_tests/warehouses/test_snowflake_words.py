"""What Snowflake is told, and how its errors are told on: text alone, no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import snowflake.connector.errors as sf
import sqlglot
from pydantic import ValidationError
from sqlglot.expressions import Command

from data_platform.errors import (
    ConfigurationError,
    LoadRefused,
    UnsupportedExpression,
    UnsupportedType,
    WarehouseError,
)
from data_platform.tables import Column
from data_platform.warehouses.remote.engine import RelationMissing, Staging, Transient
from data_platform.warehouses.remote.grammar import Placement
from data_platform.warehouses.snowflake import errors, names, staging
from data_platform.warehouses.snowflake.config import SnowflakeConfig
from data_platform.warehouses.snowflake.grammar import GRAMMAR
from data_platform.warehouses.snowflake.keys import private_key
from data_platform_tests.contracts.batches import COLUMNS, TABLE
from data_platform_tests.engines.snowflake.engine import pem

SETTINGS = {
    "kind": "snowflake",
    "account": "acme-prod",
    "user": "DATA_PLATFORM",
    "role": "LOADER",
    "warehouse": "LOADING",
    "database": "ANALYTICS",
}
CONFIG = SnowflakeConfig.model_validate(SETTINGS)
PLACE = errors.Place(
    "snowflake://acme-prod/ANALYTICS", "DATA_PLATFORM", "LOADER", "LOADING", "ANALYTICS", 3600
)
SECRET = "4111-1111"


@pytest.mark.parametrize(
    ("landed", "type_"),
    [
        ("BIGINT", "NUMBER(19,0)"),
        ("DECIMAL(38,18)", "NUMBER(38,18)"),
        ("DECIMAL(38, 37)", "NUMBER(38,37)"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP_TZ(6)"),
        ("ENUM('a', 'b')", "VARCHAR"),
        ("VARCHAR[]", "ARRAY"),
    ],
)
def test_types(landed: str, type_: str) -> None:
    assert GRAMMAR.type(landed) == type_
    assert GRAMMAR.same_type(type_, landed)


@pytest.mark.parametrize("landed", ["DECIMAL(38,38)", "HUGEINT", "UBIGINT", "UUID[]", "DOUBLE[]", "INTERVAL"])
def test_a_type_that_would_lose_values_is_refused_with_what_to_do(landed: str) -> None:
    with pytest.raises(UnsupportedType, match=r"as: \{column: text\}"):
        GRAMMAR.loadable(Column("c", landed, ""))


@pytest.mark.parametrize(
    ("held", "landed", "same", "wider"),
    [
        ("NUMBER(38,0)", "BIGINT", False, False),
        ("NUMBER(19,0)", "DECIMAL(38,18)", False, True),
        ("NUMBER(19,0)", "DECIMAL(38,20)", False, False),
        ("VARCHAR(16777216)", "VARCHAR", True, False),
        ("VARCHAR(36)", "VARCHAR", False, False),
        ("VARCHAR(16777216)", "UUID", False, False),
        ("TIMESTAMP_TZ(9)", "TIMESTAMPTZ", True, False),
        ("TIMESTAMP_TZ(3)", "TIMESTAMPTZ", False, False),
        ("TIMESTAMP_LTZ(9)", "TIMESTAMPTZ", False, False),
        ("FLOAT", "DOUBLE", True, False),
    ],
)
def test_which_types_are_the_same_and_which_are_wider(
    held: str, landed: str, same: bool, wider: bool
) -> None:
    assert (GRAMMAR.same_type(held, landed), GRAMMAR.widens(held, landed)) == (same, wider)


@pytest.mark.parametrize("name", ["id", "createdAt", "ID", "größe", 'o"dd', "1 2"])
def test_a_name_comes_back_as_it_landed(name: str) -> None:
    assert names.landed(names.folded(name), names.spelling(name)) == name
    assert GRAMMAR.quote(name) == '"' + names.folded(name).replace('"', '""') + '"'


def test_a_text_literal_escapes_backslashes() -> None:
    assert GRAMMAR.literal("a\\'b") == "'a\\\\''b'"


@pytest.mark.parametrize("pattern", ["(?:a|b)", "a(?=b)", "(?s).", "(?P<n>a)"])
def test_a_pattern_that_snowflake_may_read_in_another_way_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedExpression):
        GRAMMAR.matches("c", pattern)


def test_a_table_is_clustered_only_where_somebody_asks() -> None:
    columns = (*COLUMNS, Column("doc", "VARCHAR[]", "array"))
    assert GRAMMAR.placed(columns, Placement("at", "UTC")) == ""
    assert GRAMMAR.placed(columns, Placement("at", "UTC", ("note",))) == (
        ' CLUSTER BY (TO_DATE(CONVERT_TIMEZONE(\'UTC\', "AT")), "NOTE")'
    )
    with pytest.raises(LoadRefused, match="cannot be clustered by doc"):
        GRAMMAR.check(TABLE, columns, Placement("at", "UTC", ("doc",)))


def test_statements_are_of_the_grammar_and_no_ddl_stands_in_the_transaction() -> None:
    """But for what the parser does not know: COPY GRANTS of a clone, REPLACE in a list of columns."""
    day = Placement("at", "Asia/Kathmandu", ("id",))
    wide = Column("id", "DECIMAL(38,18)", "")
    note = Column("note", "VARCHAR", "")
    before, inside = GRAMMAR.widen(
        "raw_shop", "orders", [(wide, "NUMBER(19,0)"), (note, "DATE")], "orders_2_a"
    )
    assert len(before) == 3, "one table is made for all columns, so that one exchange is guarded"
    assert inside == ()
    statements = [
        GRAMMAR.create_table("raw_shop", "orders", COLUMNS, day),
        GRAMMAR.add_column("raw_shop", "orders", Column("createdAt", "BLOB", "")),
        *GRAMMAR.beside(TABLE),
        *GRAMMAR.widen("raw_shop", "orders", [(Column("id", "DECIMAL(20,0)", ""), "NUMBER(19,0)")], "a")[0],
        *(sql.removesuffix(" COPY GRANTS") for sql in before),
        *(
            sql.removesuffix(" COPY GRANTS")
            for sql in GRAMMAR.replacing(TABLE, COLUMNS, day, "SELECT 1", "a")
        ),
        *GRAMMAR.unbuild("a"),
        *GRAMMAR.lock(TABLE),
        GRAMMAR.delete(TABLE, 'EXISTS (SELECT 1 FROM s WHERE s.k0 = t."ID")'),
        GRAMMAR.empty(TABLE),
    ]
    for sql in statements:
        (parsed,) = sqlglot.parse(sql, dialect="snowflake")
        assert not isinstance(parsed, Command), sql
    for sql in (*GRAMMAR.lock(TABLE), GRAMMAR.empty(TABLE)):
        assert sql.startswith(("UPDATE", "DELETE")), "a TRUNCATE or any DDL would commit what is open"
    assert before[-1].endswith(" COPY GRANTS") and " CLONE " in before[-1]


def staged(**changes: Any) -> Staging:
    settings = {
        "identity": "shop_1",
        "columns": (("id", "NUMBER(19,0)"),),
        "parts": (),
        "addresses": (),
        "rows": 1,
    }
    return Staging(**(settings | changes))


def test_a_copy_takes_exactly_these_files_or_none() -> None:
    sql = staging.copy(staged(), "@LANDING.BATCHES", ["a/1.parquet", "it's.parquet"])
    assert "FILES = ('a/1.parquet', 'it''s.parquet')" in sql
    assert sql.endswith("ON_ERROR = ABORT_STATEMENT")
    assert "FORCE" not in sql and "PURGE" not in sql
    assert staging.create(staged()).startswith("CREATE OR REPLACE TEMPORARY TABLE")


def test_files_of_the_bucket_are_named_below_the_stage() -> None:
    assert staging.relative(["gs://acme/prod/a.parquet"], "gcs://acme/prod", "L.B") == ["a.parquet"]
    with pytest.raises(
        WarehouseError, match=r"The stage L\.B reads s3://acme/prod/, and a batch lies elsewhere"
    ):
        staging.relative(["s3://acme/production/a.parquet"], "s3://acme/prod/", "L.B")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            sf.ProgrammingError(
                msg="SQL access control error:\nInsufficient privileges to operate on schema 'RAW_SHOP'", errno=3001
            ),
            WarehouseError,
            "LOADER lacks a right on the schema RAW_SHOP to load.*GRANT ALL ON SCHEMA RAW_SHOP TO ROLE LOADER",
        ),
        (
            sf.ProgrammingError(msg="Database 'NOPE' does not exist or not authorized.", errno=2003),
            WarehouseError,
            "no database NOPE",
        ),
        (
            sf.ProgrammingError(msg="Stage 'A.L.B' does not exist or not authorized.", errno=2003),
            WarehouseError,
            "no stage A.L.B",
        ),
        (sf.ProgrammingError(msg="Object 'X' does not exist or not authorized.", errno=2003), RelationMissing, "query did"),
        (sf.ProgrammingError(msg="No active warehouse selected", errno=606), WarehouseError, "no running warehouse"),
        (sf.ProgrammingError(msg="Failed to access remote file: access denied", errno=100183), WarehouseError, "the stage"),
        (
            sf.ProgrammingError(
                msg=f"String '{SECRET}' is too long and would be truncated\n  column \"T\"[\"NOTE\":3]", errno=100078
            ),
            LoadRefused,
            "a cell in the column NOTE is larger",
        ),
        (
            sf.ProgrammingError(msg=f"Numeric value '{SECRET}' is not recognized", errno=100038, sqlstate="22018"),
            WarehouseError,
            "did not load .error 100038",
        ),
        (sf.ProgrammingError(msg="has locked table", errno=625, sqlstate="57014"), Transient, "another transaction"),
        (sf.ProgrammingError(msg="SQL execution canceled", errno=604), WarehouseError, "longer than 3600 seconds"),
        (sf.ProgrammingError(msg="token has expired", errno=390114), Transient, "connection to Snowflake was lost"),
        (sf.ServiceUnavailableError(msg="503", errno=290503), Transient, "connection to Snowflake was lost"),
        (ConnectionResetError(SECRET), Transient, "connection to Snowflake was lost"),
    ],
)  # fmt: skip
def test_an_error_names_its_object_and_holds_no_value(error: Exception, kind: type, said: str) -> None:
    told = errors.translated(error, "load", PLACE)
    with pytest.raises(kind, match=said):
        raise told
    assert SECRET not in str(told)


def test_errors_within_dbt_s_output() -> None:
    text = f"Database Error in model x\n  100038 (22018): Numeric value '{SECRET}' is not recognized"
    found = errors.error_in(text)
    assert found is not None and not found.names_only and SECRET not in found.summary
    assert text[found.start :].startswith("100038")
    compiled = errors.error_in("000904 (42000): SQL compilation error: invalid identifier 'X'")
    assert compiled is not None and compiled.names_only
    assert errors.error_in("nothing of the kind") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "x"}, "password"),
        ({"database": "a b"}, "database"),
        ({"url": "http://snowflake.example"}, "not encrypted"),
        ({"url": "https://u:p@snowflake.example"}, "credentials"),
        ({"stage": "only"}, "stage"),
    ],
)
def test_settings_that_are_wrong(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        SnowflakeConfig.model_validate(SETTINGS | changes)
    assert caught.value.error_count() == 1


def test_another_database_is_named_and_no_path() -> None:
    assert CONFIG.elsewhere("COPY_1").database == "COPY_1"
    with pytest.raises(ConfigurationError, match="not the name of a Snowflake database"):
        CONFIG.elsewhere(Path("/tmp/x"))


def test_keys(tmp_path: Path) -> None:
    closed = CONFIG.model_copy(update={"passphrase_env": "P"})
    one_line = pem().replace("\n", "\\n")
    (tmp_path / "key.p8").write_text(pem("open"))
    variable = CONFIG.private_key_env
    assert private_key(CONFIG, {variable: one_line}) == private_key(CONFIG, {variable: pem()})
    assert private_key(closed, {variable: str(tmp_path / "key.p8"), "P": "open"})
    with pytest.raises(ConfigurationError, match="passphrase is not the one of P") as caught:
        private_key(closed, {variable: pem("open"), "P": SECRET})
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError, match="2048 bits"):
        private_key(CONFIG, {variable: pem(bits=1024)})


def test_what_dbt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG.private_key_env, pem())
    told = CONFIG.dbt_variables(tmp_path)
    assert told["DATA_PLATFORM_SNOWFLAKE_ACCOUNT"] == "acme-prod"
    assert told["DBT_ENV_SECRET_SNOWFLAKE_PRIVATE_KEY"] == pem().strip()
    assert "DATA_PLATFORM_SNOWFLAKE_HOST" not in told
