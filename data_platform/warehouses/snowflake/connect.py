"""Makes connections: the key, and the settings of a session that the statements rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.warehouses.snowflake.errors import Place, not_connected
from data_platform.warehouses.snowflake.keys import private_key

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from data_platform.warehouses.snowflake.config import SnowflakeConfig

LOCK_SECONDS = 900
"""How long a load waits for another one of its table: longer than the five minutes after which Snowflake ends a transaction
that is idle and in the way, such as one of a killed process."""
LOGIN_SECONDS = 60
_TIMES = "YYYY-MM-DD HH24:MI:SS.FF6"
SETTINGS: Mapping[str, Any] = {
    "AUTOCOMMIT": True,
    "TIMEZONE": "UTC",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "QUERY_TAG": "data_platform",
    "LOCK_TIMEOUT": LOCK_SECONDS,
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS.FF6",
    "TIMESTAMP_OUTPUT_FORMAT": f"{_TIMES}TZH:TZM",
    "TIMESTAMP_TZ_OUTPUT_FORMAT": f"{_TIMES}TZH:TZM",
    "TIMESTAMP_LTZ_OUTPUT_FORMAT": f"{_TIMES}TZH:TZM",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": _TIMES,
    "BINARY_OUTPUT_FORMAT": "HEX",
    "CLIENT_SESSION_KEEP_ALIVE": False,
    "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False,
    "CLIENT_TELEMETRY_ENABLED": False,
    "ERROR_ON_NONDETERMINISTIC_MERGE": True,
}
"""An account, a user or a role may have other defaults: what a session says itself wins."""


class Connector:
    """What a session connects with, again and again if it must."""

    def __init__(self, config: SnowflakeConfig, environ: Mapping[str, str]) -> None:
        self.config = config
        self._environ = environ
        self.place = Place(
            name=f"snowflake://{config.account}/{config.database}",
            user=config.user,
            role=config.role,
            compute=config.warehouse,
            database=config.database,
            seconds=config.timeout_seconds,
        )

    def connect(self, *, database: bool = True) -> SnowflakeConnection:
        """A new connection, its ``database`` and its warehouse being there."""
        try:
            import snowflake.connector
        except ImportError:
            raise ConfigurationError(
                "A warehouse of the kind snowflake needs its client: pip install 'data-platform[snowflake]'."
            ) from None
        config = self.config
        seconds = {"STATEMENT_TIMEOUT_IN_SECONDS": config.timeout_seconds}
        told: dict[str, Any] = {
            "account": config.account,
            "user": config.user,
            "role": config.role,
            "warehouse": config.warehouse,
            "private_key": private_key(config, self._environ),
            "authenticator": "SNOWFLAKE_JWT",
            "session_parameters": {**SETTINGS, **seconds},
            "application": "data_platform",
            "paramstyle": "qmark",  # the server binds
            "login_timeout": min(LOGIN_SECONDS, config.timeout_seconds),
            "network_timeout": config.timeout_seconds,
            "client_prefetch_threads": 1,
            **({"database": config.database} if database else {}),
            **_address(config.url),
        }
        try:
            connection = snowflake.connector.connect(**told)
        except Exception as error:
            raise not_connected(error, self.place) from None
        if database and connection.database is None:
            connection.close()
            raise WarehouseError(
                f"There is no warehouse at {self.place.name} yet: no database {config.database}, or the role {config.role} has no"
                f" USAGE on it. Create it: CREATE DATABASE {config.database}; GRANT ALL ON DATABASE {config.database} TO ROLE {config.role}."
            )
        if connection.warehouse is None:
            connection.close()
            raise WarehouseError(
                f"There is no virtual warehouse {config.warehouse} at {self.place.name}, or the role {config.role} has no USAGE on it:"
                f" GRANT USAGE ON WAREHOUSE {config.warehouse} TO ROLE {config.role}."
            )
        return connection


def _address(url: str | None) -> dict[str, Any]:
    if url is None:
        return {}
    parts = urlsplit(url)
    return {
        "host": parts.hostname,
        "port": parts.port or (443 if parts.scheme == "https" else 80),
        "protocol": parts.scheme,
    }
