"""Looking at sources without syncing: writing a catalog file from one, checking all against theirs."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.errors import DataPlatformError
from data_platform.privacy.names import looks_personal
from data_platform.sources.postgres import discover as postgres
from data_platform.sources.postgres.config import PostgresConnection
from data_platform.sources.postgres.connection import connection_string
from data_platform.sources.postgres.session import SourceSession
from data_platform.sync.platform import Platform, utc_now
from data_platform.sync.projection import project


def discover(environ: Mapping[str, str], *, source: str, url_env: str, schema: str = "public") -> str:
    """The YAML text of a catalog file for the database whose URL is in ``url_env``."""
    conninfo = connection_string(PostgresConnection(url_env=url_env), environ, source=source)
    return postgres.discover(
        conninfo,
        source=source,
        url_env=url_env,
        schema=schema,
        today=utc_now().date(),
        looks_personal=looks_personal,
        suggest_treatment=suggest_treatment,
    )


def suggest_treatment(column: str, reason: str, is_key: bool) -> str:
    """A careful first choice: what one joins on is hashed, phones masked, the rest redacted."""
    if is_key or reason == "an email address":
        return "hash"
    if reason == "a phone number":
        return "mask"
    return "redact"


def check_sources(platform: Platform) -> list[str]:
    """What the databases say against the catalog: one line a table that could not be synced."""
    mistakes: list[str] = []
    for source in platform.catalog.sources.values():
        try:
            conninfo = connection_string(source.connection, platform.environ, source=source.name)
            with SourceSession(conninfo, source=source.name) as session:
                session.begin(
                    [(t.id.table, *t.relation) for t in source.tables.values()], observe_activity=False
                )
                assert session.snapshot is not None
                today = session.snapshot.taken_at[:10]
                for table in source.tables.values():
                    try:
                        if table.id.table in session.errors:
                            raise session.errors[table.id.table]
                        project(table, session.relations[table.id.table], today)
                    except DataPlatformError as error:
                        mistakes.append(str(error))
        except DataPlatformError as error:
            mistakes.append(str(error))
    return mistakes
