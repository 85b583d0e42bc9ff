"""What `dbt/profiles.yml` makes of the variables of each kind of warehouse. Nothing connects."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_platform.defs.dbt_environment import passed_on
from data_platform_tests.dbt.runner import PROJECT

pytestmark = pytest.mark.slow  # dbt is imported

VARIABLES = {
    "duckdb": {"DATA_PLATFORM_DUCKDB_PATH": "/w/warehouse.duckdb"},
    "ducklake": {
        "DATA_PLATFORM_DUCKLAKE_CATALOG": "postgres:dbname=lake host=h",
        "DATA_PLATFORM_DUCKLAKE_DATA_PATH": "s3://lake/data/",
    },
    "bigquery": {"DATA_PLATFORM_BIGQUERY_PROJECT": "project"},
    "snowflake": {
        "DATA_PLATFORM_SNOWFLAKE_ACCOUNT": "12345",
        "DATA_PLATFORM_SNOWFLAKE_USER": "dbt",
        "DATA_PLATFORM_SNOWFLAKE_DATABASE": "warehouse",
        "DATA_PLATFORM_SNOWFLAKE_PRIVATE_KEY_PATH": "/k/key.p8",
    },
    "redshift": {"DATA_PLATFORM_REDSHIFT_HOST": "h", "DATA_PLATFORM_REDSHIFT_DATABASE": "warehouse"},
}
"""The least that each kind needs."""

Load = Callable[..., Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """The credentials of an output, as dbt reads them with these variables."""
    from dbt.config.profile import Profile, read_profile
    from dbt.config.renderer import ProfileRenderer
    from dbt.flags import set_from_args
    from dbt_common.clients.system import get_env
    from dbt_common.context import set_invocation_context

    set_from_args(Namespace(), None)

    def load(target: str | None, variables: dict[str, str]) -> Any:
        for name in [name for name in get_env() if name.startswith(("DATA_PLATFORM_", "DBT_"))]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        set_invocation_context(get_env())
        profile = Profile.from_raw_profiles(
            read_profile(str(PROJECT)), "data_platform", ProfileRenderer({}), target_override=target
        )
        profile.validate()
        return profile.credentials

    return load


@pytest.mark.parametrize("kind", VARIABLES)
def test_each_kind_has_an_output_with_few_variables(load: Load, kind: str) -> None:
    credentials = load(kind, VARIABLES[kind])
    assert credentials.type == ("duckdb" if kind == "ducklake" else kind)
    assert credentials.schema == "analytics"


def test_by_hand_it_is_the_local_file_and_a_variable_names_another_kind(load: Load) -> None:
    assert load(None, {}).path == "../.data/warehouse.duckdb"
    chosen = load(None, {"DATA_PLATFORM_DBT_TARGET": "bigquery", "DATA_PLATFORM_BIGQUERY_PROJECT": "p"})
    assert (chosen.type, chosen.database) == ("bigquery", "p")


def test_a_missing_variable_is_named(load: Load) -> None:
    with pytest.raises(Exception, match="DATA_PLATFORM_BIGQUERY_PROJECT"):
        load("bigquery", {})


def test_bigquery_takes_the_credentials_of_its_surroundings_unless_told_otherwise(load: Load) -> None:
    least = load("bigquery", VARIABLES["bigquery"])
    assert (least.method, least.execution_project, least.location) == ("oauth", "project", None)
    assert (least.maximum_bytes_billed, least.api_endpoint, least.keyfile) == (None, None, None)
    more = load("bigquery", {
        "DATA_PLATFORM_BIGQUERY_PROJECT": "data", "DATA_PLATFORM_BIGQUERY_EXECUTION_PROJECT": "jobs",
        "DATA_PLATFORM_BIGQUERY_METHOD": "service-account", "DATA_PLATFORM_BIGQUERY_KEYFILE": "/k.json",
        "DATA_PLATFORM_BIGQUERY_LOCATION": "EU", "DATA_PLATFORM_BIGQUERY_MAXIMUM_BYTES_BILLED": "1000000",
        "DATA_PLATFORM_SCHEMA_PREFIX": "again_",
    })  # fmt: skip
    assert (more.method, more.keyfile, more.location) == ("service-account", "/k.json", "EU")
    assert (more.execution_project, more.maximum_bytes_billed) == ("jobs", 1_000_000)
    assert more.schema == "again_analytics"


def test_snowflake_is_reached_with_a_key_and_never_a_password(load: Load) -> None:
    made = load("snowflake", {
        **VARIABLES["snowflake"], "DBT_ENV_SECRET_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "open sesame",
    })  # fmt: skip
    assert (made.account, made.private_key_path, made.password) == ("12345", "/k/key.p8", None)
    assert made.private_key_passphrase == "open sesame"
    assert (made.host, made.port, made.protocol) == (None, 443, "https")


def test_redshift_is_reached_with_a_role_or_a_password_of_the_environment(load: Load) -> None:
    made = load("redshift", VARIABLES["redshift"])
    assert (made.method, made.port, made.password, made.database) == ("iam_role", 5439, None, "warehouse")
    assert made.sslmode == "verify-full"
    made = load("redshift", {
        **VARIABLES["redshift"], "DATA_PLATFORM_REDSHIFT_METHOD": "database",
        "DATA_PLATFORM_REDSHIFT_USER": "dbt", "DBT_ENV_SECRET_REDSHIFT_PASSWORD": "open sesame",
        "DATA_PLATFORM_REDSHIFT_SSLMODE": "disable",
    })  # fmt: skip
    assert (made.user, made.password, made.sslmode) == ("dbt", "open sesame", "disable")


def test_a_lake_is_attached_with_extensions_of_installed_wheels(load: Load) -> None:
    import duckdb

    from data_platform.warehouses.duckdb.dbt_plugin import Plugin

    made = load("ducklake", VARIABLES["ducklake"])
    assert made.database == "lake"
    assert made.attach[0].to_sql() == (
        "ATTACH IF NOT EXISTS 'ducklake:postgres:dbname=lake host=h' AS lake (DATA_PATH 's3://lake/data/')"
    )
    (plugin,) = made.plugins
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    Plugin("p", plugin.config).configure_connection(connection)
    loaded = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
    assert {("ducklake",), ("postgres_scanner",)} <= set(loaded)


def test_the_outputs_name_no_variable_that_is_no_warehouses(tmp_path: Path) -> None:
    """Whatever the project names is passed on to dbt, whichever output it uses: other secrets come by
    `dbt_variables` of the kind that needs them."""
    secrets = (
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "PGPASSWORD",
        "DATA_PLATFORM_HASH_KEY",
    )
    assert passed_on([PROJECT / "profiles.yml"], dict.fromkeys(secrets, "x")) == {}
