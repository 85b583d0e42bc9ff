"""Locks on a source's tables, taken so that no application ever waits for us in a circle.

A session that waits for a lock while it holds others can be half of a deadlock, and the server then ends
whichever half looks first: an application's migration as likely as us. So nothing here waits while it holds
something. All locks of a sync are taken at once with NOWAIT or all given back; the wait is outside of any. A
lock that LOCK TABLE does not take (of a materialized view, a foreign table, a table inside a function) is waited for
as short as the server allows, by ``lock_timeout`` (``settings.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LOCKABLE = ("r", "p", "v")
"""Kinds of relations that LOCK TABLE takes."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.5

_FIND = """
select w.ord::int - 1, c.oid::bigint, c.relkind::text
from unnest(%s::text[], %s::text[]) with ordinality w(nspname, relname, ord)
join pg_namespace n on n.nspname = w.nspname
join pg_class c on c.relnamespace = n.oid and c.relname = w.relname and c.relkind in ('r','p','v','m','f')
"""

_IN_THE_WAY = """
with recursive below(root, oid, relkind) as (
    select c.oid, c.oid, c.relkind from pg_class c where c.oid = any(%(oids)s::bigint[]::oid[])
    union
    select b.root, c.oid, c.relkind from below b
    cross join lateral (
        select inhrelid from pg_inherits where inhparent = b.oid and b.relkind in ('r', 'p')
        union all
        select d.refobjid from pg_rewrite r
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
            and d.refclassid = 'pg_class'::regclass
        where r.ev_class = b.oid and b.relkind = 'v') x(oid)
    join pg_class c on c.oid = x.oid and c.relkind in ('r','p','v','m','f'))
select b.root::bigint, l.pid, a.usename::text, a.application_name, a.backend_type, l.granted
from below b
join pg_locks l on l.locktype = 'relation' and l.relation = b.oid and l.mode = 'AccessExclusiveLock'
    and l.database = (select oid from pg_database where datname = current_database())
left join pg_stat_activity a on a.pid = l.pid
where (l.pid is null or l.pid <> pg_backend_pid()) and b.relkind::text = any(%(kinds)s)
order by l.granted desc, l.pid
"""
"""Who holds, or waits for, the one lock that keeps readers out: of the relations and of what is read with
them. A materialized view's own source is not: it is not read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A wanted table as the catalog has it: its oid and kind."""

    oid: int
    kind: str


def find(connection: Any, wanted: Sequence[tuple[str, str, str]]) -> dict[str, Found]:
    """Each of ``wanted`` (name, schema, relation) that is there, by name; without waiting for any lock."""
    if not wanted:
        return {}
    rows = connection.execute(_FIND, ([w[1] for w in wanted], [w[2] for w in wanted]))
    return {wanted[place][0]: Found(oid, kind) for place, oid, kind in rows}


def in_the_way(
    connection: Any, found: Mapping[str, Found], kinds: Sequence[str] = (*LOCKABLE, "m", "f")
) -> dict[str, str]:
    """Who keeps readers out of each of ``found``, in words without values; asked outside of a transaction.

    Of relations of ``kinds`` alone, be it the table itself or what is read with it.
    """
    by_oid: dict[int, list[str]] = {}
    for table, relation in found.items():
        by_oid.setdefault(relation.oid, []).append(table)
    if not by_oid:
        return {}
    told: dict[str, str] = {}
    rows = connection.execute(_IN_THE_WAY, {"oids": list(by_oid), "kinds": list(kinds)})
    for root, pid, user, program, backend, granted in rows:
        for table in by_oid[root]:
            told.setdefault(table, _session(pid, user, program, backend, granted))
    return told


def _session(pid: int | None, user: str | None, program: str | None, backend: str | None, held: bool) -> str:
    verb = "holds" if held else "waits for"
    if pid is None:
        return f"a prepared transaction {verb} it"
    if backend == "startup":
        return "the standby's replay holds it"
    shown = "".join(c for c in (program or "")[:40] if c.isprintable())
    about = [f"of the user {user}"] if user else []
    about += [f"of the program {shown}"] if shown else []
    return f"the session with the process number {pid} {' '.join([*about, verb])} it"


@dataclass
class Patience:
    """``pauses`` yields after each wait until so many seconds have passed in all."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _until: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._until = self.clock() + self.seconds

    @property
    def left(self) -> float:
        return max(0.0, self._until - self.clock())

    def pauses(self) -> Iterator[None]:
        pause = _FIRST_PAUSE_SECONDS
        while (left := self.left) > 0:
            self.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            yield
