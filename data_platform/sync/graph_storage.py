"""Where Dagster keeps its records in production, as its own settings say: a PostgreSQL whose variables a restore needs too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data_platform.errors import ConfigurationError
from data_platform.landing.signing import DEMANDED_IN
from data_platform.sync.platform import Platform

SETTINGS = "dagster.yaml"
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class GraphStorage:
    """The ``variables`` that the settings in ``path`` name for the storage, and the database, as they give it."""

    path: Path
    variables: tuple[str, ...]
    database: Mapping[str, Any] | None

    def answers(self, environ: Mapping[str, str]) -> str:
        """ConfigurationError where a variable is not set or the server does not answer."""
        unset = [name for name in self.variables if not environ.get(name, "").strip()]
        if unset:
            raise ConfigurationError(
                f"{self.path} names {', '.join(unset)}, which {'is' if len(unset) == 1 else 'are'} not set: without"
                " Dagster's storage nothing of the graph starts."
            )
        if self.database is None:
            return "Set. Which database that is, its settings do not say in the way that is known here."
        import psycopg

        given = {name: _value(self.database.get(name), environ) for name in _PARTS}
        try:
            with psycopg.connect(
                host=given["hostname"],
                port=given["port"] or "5432",
                dbname=given["db_name"],
                user=given["username"],
                password=given["password"],
                connect_timeout=CONNECT_SECONDS,
            ):
                return "It answers."
        except psycopg.Error as error:  # its text holds names, and no password
            raise ConfigurationError(
                f"Dagster's PostgreSQL does not answer ({type(error).__name__}). If its server is gone, make an empty one:"
                " Dagster makes its tables in it."
            ) from None


_PARTS = ("hostname", "port", "db_name", "username", "password")


def graph_storage(platform: Platform) -> GraphStorage | None:
    """From ``DAGSTER_HOME``, else in production from ``deploy/``; None where that keeps its records in files."""
    home = platform.environ.get("DAGSTER_HOME", "").strip()
    path = Path(home) / SETTINGS if home else None
    if path is None or not path.is_file():
        if platform.environment.name != DEMANDED_IN:
            return None
        path = platform.catalog.root / "deploy" / SETTINGS
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, yaml.YAMLError):
        raise ConfigurationError(
            f"{path} cannot be read, so what Dagster's storage needs is not known."
        ) from None
    storage = settings.get("storage") if isinstance(settings, Mapping) else None
    variables = tuple(dict.fromkeys(_variables(storage)))
    if not variables:
        return None
    postgres = storage.get("postgres") if isinstance(storage, Mapping) else None
    database = postgres.get("postgres_db") if isinstance(postgres, Mapping) else None
    return GraphStorage(path, variables, database if isinstance(database, Mapping) else None)


def _variables(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {"env"} and isinstance(value["env"], str):
            yield value["env"]
        else:
            for inner in value.values():
                yield from _variables(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _variables(inner)


def _value(given: Any, environ: Mapping[str, str]) -> str | None:
    if isinstance(given, Mapping):
        return environ.get(str(given.get("env", "")))
    return None if given is None else str(given)
