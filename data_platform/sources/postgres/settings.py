"""The session settings that promises hang on: made anew in each transaction, and read back in it.

A pooler may drop start-up options without a word, give the next transaction another server connection,
or one that another client left its settings on. So nothing is asked for when connecting. Each
transaction starts from the role's own settings, makes ours with ``SET LOCAL``, is asked what
they are, and ends by ROLLBACK: it needs nothing from what was before it, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from data_platform.errors import SourceError

APPLICATION_NAME = "data_platform"
"""Tags our transactions, so that the clock path can leave them out of the activity it reads."""

_TEXT_FORM = "values would land in another text form"
_ROWS = "rows could be missing without a word"
_LIMIT = "the limit could end the sync"
_OURS = "the sync could hold up others for longer than the catalog allows"
GIVE_WAY_MS = 1
"""How long a statement of ours waits for a lock: as short as the server allows. Who waits while it holds other locks
may be half of a deadlock, and the server then ends an application's migration as likely as us (``locks.py``)."""

WANTED: Mapping[str, tuple[str, str]] = {
    "application_name": (APPLICATION_NAME, "our own transactions would be taken for an application's"),
    "client_encoding": ("UTF8", "texts would arrive in another encoding"),
    "timezone": ("UTC", _TEXT_FORM),
    "datestyle": ("ISO, YMD", _TEXT_FORM),
    "intervalstyle": ("postgres", _TEXT_FORM),
    "extra_float_digits": ("1", _TEXT_FORM),
    "bytea_output": ("hex", _TEXT_FORM),
    "quote_all_identifiers": ("off", _TEXT_FORM),
    "standard_conforming_strings": ("on", "texts in our statements would be read otherwise"),
    # a policy that would hide rows is an error, never fewer rows
    "row_security": ("off", _ROWS),
    # a limit above which an index scan of a view gives a random part of what it finds
    "gin_fuzzy_search_limit": ("0", _ROWS),
    "exit_on_error": ("off", "one table's error would end the session, and every other table's read with it"),
    "idle_in_transaction_session_timeout": ("0", _LIMIT),
    "idle_session_timeout": ("0", _LIMIT),
    "transaction_timeout": ("0", _LIMIT),
}
"""Name, value as ``pg_settings.setting`` shows it, and what would be wrong without it."""

_SINCE = {"idle_session_timeout": 14, "transaction_timeout": 17}
"""Major versions of PostgreSQL that settings came with."""

_ONLY_READ: Mapping[str, tuple[str, str]] = {
    # a superuser's to change: damaged pages would be read as empty, or as they are
    "zero_damaged_pages": ("off", _ROWS),
    "ignore_checksum_failure": ("off", "damaged pages would be read as if they were sound"),
    "transaction_read_only": ("on", "nothing would keep a view's function from writing to the source"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a transaction on a server of this major ``version`` must have. ``wanted`` maps each setting to
    its value and to what would be wrong without it."""

    wanted: Mapping[str, tuple[str, str]]
    source: str

    @classmethod
    def of(cls, version: int, *, source: str, statement_timeout_seconds: int) -> Settings:
        limits = {
            "statement_timeout": (str(statement_timeout_seconds * 1000), _OURS),
            "lock_timeout": (str(GIVE_WAY_MS), _OURS),
        }
        wanted = {n: v for n, v in {**WANTED, **limits}.items() if version >= _SINCE.get(n, 0)}
        return cls(wanted, source)

    def statement(self) -> str:
        """Makes them for the rest of the transaction. It takes no snapshot, so that tables may be locked and
        a snapshot be imported after it."""
        ours = "; ".join(f"set local {name} = '{value}'" for name, (value, _) in self.wanted.items())
        # what another client left on a pooled connection, SET ROLE and settings of its own included
        return f"reset all; reset role; {ours}"

    def question(self) -> str:
        """Asks for them: rows of a name and a value. ``reset all`` does not reach every setting that is read."""
        names = ", ".join(f"'{name}'" for name in (*self.wanted, *_ONLY_READ, "transaction_isolation"))
        return (
            "select lower(name) as name, setting as value from pg_catalog.pg_settings"
            f" where lower(name) in ({names})"
        )

    def check(self, rows: Iterable[tuple[Any, ...]], *, isolation: str) -> None:
        """Raises SourceError for the first setting that is not as it must be."""
        found = {str(name): str(value) for name, value in rows}
        expected = {
            **self.wanted,
            **_ONLY_READ,
            "transaction_isolation": (isolation, "tables would be read at different moments"),
        }
        for name, (value, why) in expected.items():
            has = found.get(name)
            if has is None or has.lower() != value.lower():
                raise self._refused(name, value, has, why)

    def _refused(self, name: str, value: str, has: str | None, why: str) -> SourceError:
        asked = "must be" if name in _ONLY_READ else "was set to"
        shown = "cannot be read" if has is None else f"is {has}" if len(has) < 40 else "is not"
        way_out = (
            f"ALTER ROLE (or ALTER DATABASE) ... RESET {name}, which takes a superuser"
            if name in _ONLY_READ and name != "transaction_read_only"
            else "Whatever stands between, a pooler perhaps, does not pass SET on: give the URL of the server itself, or"
            " of a pool in session or transaction mode"
        )
        return SourceError(
            f"On the connection to the source {self.source!r} the setting {name} {asked} {value} and {shown}, so {why}."
            f" Nothing was read. {way_out}."
        )


@contextmanager
def transaction(connection: Any, settings: Settings, isolation: str = "read committed") -> Iterator[Any]:
    """Read-only statements on an autocommit psycopg connection, under a snapshot of their own."""
    connection.execute(f"begin transaction isolation level {isolation}, read only; {settings.statement()}")
    try:
        settings.check(connection.execute(settings.question()), isolation=isolation)
        yield connection
    finally:
        roll_back(connection)


def roll_back(connection: Any) -> None:
    """Ends the transaction of a connection that may be lost. A pooler gives a server connection whose
    transaction was left open to nobody else, and closes it."""
    with suppress(Exception):
        if not connection.closed:
            connection.execute("rollback")


@dataclass(frozen=True, slots=True)
class Place:
    """``server`` names a database of a running server, ``snapshot`` what the transaction sees of it. Servers
    behind one name, a standby and clones among them, differ in when they were started."""

    server: str
    snapshot: str


PLACE = """
select (extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint::text
       || '/' || (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) as place,
       pg_catalog.pg_current_snapshot()::text as snapshot
"""


def place(ask: Callable[[str], Iterable[tuple[Any, ...]]]) -> Place:
    """Of the transaction that ``ask`` runs in."""
    ((server, snapshot),) = ask(PLACE)
    return Place(str(server), str(snapshot))


def check_place(reader: Place, session: Place, *, source: str, exported: bool) -> None:
    """Raises SourceError when a reader came to another server than the one the session is on: rows of one
    that is behind would count as read, and never be asked for again."""
    if reader.server != session.server or (exported and reader.snapshot != session.snapshot):
        raise SourceError(
            f"The connections to the source {source!r} lead to different servers: one took the snapshot, another was"
            " to be read. Nothing was read. The URL's host, or the pooler behind it, shares its work out among"
            " several servers (a load balancer, a reader endpoint, several addresses of one name): give the URL of"
            " one of them."
        )
