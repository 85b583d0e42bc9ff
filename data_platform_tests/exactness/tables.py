"""The tables of the schedules: one shape, six ways to be synced, and what a writer may do to a row."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from data_platform_tests.exactness.oracle import Kind

KEYS = 24
"""Few enough that writers meet on a row all the time."""
DAYS = [f"2026-01-0{day}" for day in range(1, 6)]
_COLUMNS = (
    "id bigint, status text, amount numeric(10,2), created_at timestamptz, updated_at {cursor}, email text,"
    " doc jsonb"
)
NAMES = ("id", "status", "amount", "created_at", "updated_at", "email", "doc::text")


@dataclass(frozen=True)
class Variant:
    """``stamp`` is what a trigger sets the cursor to; None where the application sets it."""

    name: str
    cursor: str = "timestamptz"
    stamp: str | None = None
    partitioned: bool = True
    email: str = "keep"
    strategy: str = "merge"
    leaves: bool = False

    def kind(self, timezone: str) -> Kind:
        hashed = ("email",) if self.email == "hash" else ()
        return Kind(self.name, NAMES, "created_at" if self.partitioned else None, timezone, hashed)

    def block(self) -> dict[str, Any]:
        """The table's block of the catalog."""
        block: dict[str, Any] = {
            "key": "id",
            "personal": {"email": self.email, "doc": "keep"},
            "strategy": self.strategy,
        }
        if self.partitioned:
            block["partition"] = "created_at"
        if self.name != "plain":
            block |= {"cursor": "updated_at", "cursor_clock": "database" if self.stamp else "application"}
        return block

    def create(self) -> str:
        columns = _COLUMNS.format(cursor=f"{self.cursor} not null" if self.stamp else self.cursor)
        ends = ") partition by hash (id);" if self.leaves else ");"
        statements = (
            f"drop table if exists {self.name}; create table {self.name} ({columns}, primary key (id){ends}"
        )
        if self.leaves:
            statements += "".join(
                f"create table {self.name}_{n} partition of {self.name} for values with (modulus 2, remainder {n});"
                for n in range(2)
            )
        statements += f"create index on {self.name} (updated_at); create index on {self.name} (created_at);"
        if self.stamp:
            statements += (
                f"create or replace function stamp_{self.name}() returns trigger language plpgsql as"
                f" $$ begin new.updated_at := {self.stamp}; return new; end $$;"
                f"create trigger stamp before insert or update on {self.name}"
                f" for each row execute function stamp_{self.name}();"
            )
        return statements + self.fill(1, KEYS // 2)

    def fill(self, first: int, last: int) -> str:
        """Rows for the keys that are absent, spread over the days."""
        return (
            f"insert into {self.name} select n, 'filled', n, timestamptz '2026-01-01 23:30+00'"
            f" + n % 4 * interval '1 day', now(), 'Person' || n || '@Example.com', jsonb_build_object('n', n)"
            f" from generate_series({first}, {last}) n on conflict do nothing;"
        )


VARIANTS = (
    Variant("clocked", stamp="clock_timestamp()"),
    # a cursor of milliseconds, set to the instant its transaction began
    Variant("rounded", "timestamptz(3)", stamp="now()", email="hash"),
    Variant("scanned", email="hash"),
    Variant("plain", partitioned=False),
    Variant("leaves", stamp="clock_timestamp()", leaves=True),
    Variant("replaced", strategy="replace"),
)


def change(choose: random.Random, variant: Variant, key: int, other: int) -> tuple[str, str]:
    """A seeded write to row ``key`` (or ``other`` too): what it is called, and its SQL."""
    table, cursor = variant.name, _cursor(choose, variant)
    moved = f", updated_at = {cursor}" if choose.random() < 0.7 else ""  # or the cursor is silent
    number = choose.randint(0, 999)
    what = choose.choice(
        ("insert", "insert", "update", "update", "update", "delete", "rekey", "move", "move", "tie", "import")
    )
    where = f"where id = {key}"
    statements = {
        "insert": f"insert into {table} values ({key}, 's{number}', {number}.5, {_day(choose)}, {cursor},"
        f" {_email(choose)}, '{{\"n\": {number}}}') on conflict do nothing",
        "update": f"update {table} set status = 's{number}', email = {_email(choose)}{moved} {where}",
        "delete": f"delete from {table} {where}",
        "rekey": f"update {table} set id = {other}{moved} {where}"
        f" and not exists (select 1 from {table} where id = {other})",
        "move": f"update {table} set created_at = {_day(choose)}{moved} {where}",
        "tie": f"update {table} set status = 'tie', updated_at = (select max(updated_at) from {table})"
        f" where id in ({key}, {other})",
        # an import that brings its own, long past times; a trigger stamps it all the same
        "import": f"insert into {table} select n, 'imported', n, timestamptz '2026-01-02 12:00+00',"
        f" timestamptz '2019-05-05 00:00+00', null, null from unnest(array[{key}, {other}]) n"
        " on conflict (id) do update set status = 'imported', updated_at = excluded.updated_at",
    }
    return what, statements[what]


def _cursor(choose: random.Random, variant: Variant) -> str:
    """What an application's clock says: right, early, late, backwards, or nothing at all."""
    if variant.stamp:
        return "now()"
    return choose.choice(
        (
            "now()",
            "clock_timestamp()",
            "now() + interval '3 hours'",
            "now() - interval '2 hours'",
            f"timestamptz '2026-02-01 00:00+00' - {choose.randint(0, 50)} * interval '1 hour'",
            "null",
        )
    )


def _day(choose: random.Random) -> str:
    if choose.random() < 0.2:
        return "null"
    # near midnight, where time zones disagree about the day
    return f"timestamptz '{choose.choice(DAYS)} {choose.choice(('00:10', '12:00', '23:40'))}+00'"


def _email(choose: random.Random) -> str:
    return "null" if choose.random() < 0.2 else f"' Someone{choose.randint(0, 9)}@Example.com '"
