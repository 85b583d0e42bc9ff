"""Looking at sources without syncing: writing a catalog file from one, checking all against theirs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from data_platform.catalog import Source, Table
from data_platform.errors import DataPlatformError
from data_platform.privacy import names
from data_platform.sources.postgres import discover as postgres
from data_platform.sources.postgres.config import PostgresConnection, connection_of, settings_of
from data_platform.sources.postgres.connection import target
from data_platform.sources.postgres.draft import Privacy
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.readable import Trial, try_to_read
from data_platform.sources.postgres.session import LOOK_SECONDS, SourceSession
from data_platform.sync.platform import Platform, utc_now
from data_platform.sync.projection import chosen, project


@dataclass
class Findings:
    """What a look at a source says of the catalog: ``mistakes`` keep tables from being synced,
    ``notes`` are worth knowing before the first sync."""

    mistakes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def discover(environ: Mapping[str, str], *, source: str, url_env: str, schema: str = "public") -> str:
    """The YAML text of a catalog file for the database whose URL is in ``url_env``."""
    where = target(PostgresConnection(url_env=url_env), environ, source=source)
    return postgres.discover(
        where,
        url_env=url_env,
        schema=schema,
        today=utc_now().date(),
        privacy=Privacy(names.of_column, names.of_name, suggest_treatment),
    )


def suggest_treatment(column: str, reason: str, joined: bool) -> str:
    """A careful first choice: what one joins on is hashed, phones masked, the rest redacted."""
    if joined or reason == "an email address":
        return "hash"
    if reason == "a phone number":
        return "mask"
    return "redact"


def check_sources(platform: Platform, named: Collection[str] | None = None) -> Findings:
    """What the databases say against the catalog: one line a table that could not be synced. Of the sources
    ``named`` alone, where any are."""
    found = Findings()
    sources = [s for s in platform.catalog.sources.values() if not named or s.name in named]
    if any("hash" in table.personal.values() for source in sources for table in source.tables.values()):
        try:
            platform.hash_key()
        except DataPlatformError as error:
            found.mistakes.append(str(error))
    for source in sources:
        try:
            where = target(connection_of(source.connection), platform.environ, source=source.name)
            with SourceSession(where) as session:
                check_source(session, source, found)
        except DataPlatformError as error:
            found.mistakes.append(str(error))
    return found


def check_source(session: SourceSession, source: Source, found: Findings) -> None:
    """What the tables of one source would meet in a sync, into ``found``."""
    today = session.observe(activity=False).taken_at[:10]
    tables = source.tables

    def look(name: str, relation: Relation) -> tuple[Relation, Trial]:
        session.permitted(name, relation)
        project(tables[name], relation, today)
        return relation, try_to_read(session, relation, chosen(tables[name], relation).column_names)

    wanted = [(name, *settings_of(table).relation) for name, table in tables.items()]
    seen = session.look(wanted, look, seconds=LOOK_SECONDS)
    known = {one[0].oid for one in seen.values() if not isinstance(one, DataPlatformError)}
    for name, table in tables.items():
        one = seen[name]
        if isinstance(one, DataPlatformError):
            told = str(one)
            found.mistakes.append(told if str(table.id) in told else f"{table.id}: {told}")
            continue
        relation, trial = one
        where = f"{table.id} ({relation.schema}.{relation.name})"
        found.notes += _not_in_the_catalog(table, relation, known)
        if trial.problem:
            found.mistakes.append(f"{where} cannot be read: {trial.problem}.")
        elif trial.note:
            found.notes.append(f"{where}: {trial.note}.")


def _not_in_the_catalog(table: Table, relation: Relation, known: Collection[int]) -> list[str]:
    """Tables whose rows a query of ``relation`` shows, and which have no block."""
    absent = [f"{schema}.{name}" for oid, schema, name in relation.children if oid not in known]
    if not absent:
        return []
    more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
    return [
        f"{table.id}: {', '.join(absent[:3])}{more} inherit from {relation.schema}.{relation.name}, which is read"
        " without their rows. Give each a block of its own, or read a view over them all."
    ]
