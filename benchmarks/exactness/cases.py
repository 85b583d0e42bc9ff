"""The table, and what happens to it in each case. What a tool does with it is in ``run.py``.

A case is a generator: at each ``yield`` the tool syncs, and nothing is judged yet. When it
ends, the syncs that are judged follow.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import psycopg

ROWS = 1_000
LAG_SECONDS = 3600
"""How far back the tuned settings of the others look again at each sync."""

# The newest row is a few minutes old, each other one a minute older than the next.
TABLE = """
drop table if exists orders;
create table orders (
    order_id bigint primary key, quantity int not null, amount numeric(10,2) not null, status text not null,
    label text, order_date date not null, updated_at timestamptz);
insert into orders
select n, n % 7, n * 0.37, 'new', 'note ' || n, date '2026-01-01' + (n % 28)::int,
       date_trunc('minute', clock_timestamp()) - interval '5 minutes' - ({rows} - n) * interval '1 minute'
from generate_series(1, {rows}) n;
create index on orders (updated_at);
"""
INSERT = """
insert into orders
select {first} + n, 1, 9.99, 'new', 'late', date '2026-01-15', {cursor} from generate_series(0, {rows} - 1) n
"""
TOUCH = "update orders set status = 'paid', updated_at = clock_timestamp() where order_id <= 400"

Steps = Generator[None, None, None]


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    play: Callable[[str], Steps]


def make_table(url: str, rows: int = ROWS) -> None:
    execute(url, TABLE.format(rows=rows))


def execute(url: str, *statements: str) -> None:
    """Each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def insert(first: int, cursor: str, rows: int = 1) -> str:
    return INSERT.format(first=first, cursor=cursor, rows=rows)


def busy(number: int, rows: int) -> tuple[str, str]:
    """A round of ordinary changes: a hundredth of the rows updated, and as many new ones."""
    few = max(rows // 100, 1)
    update = f"update orders set quantity = quantity + 1, updated_at = clock_timestamp() where order_id % 100 = {number % 100}"
    return update, insert(10 * rows + number * few, "clock_timestamp()", few)


def _late(cursor: str) -> Callable[[str], Steps]:
    """An open transaction writes; another, that began later, commits; a sync; the first commits."""

    def play(url: str) -> Steps:
        with psycopg.connect(url) as late:
            late.execute(insert(5_001, cursor).encode())
            execute(url, insert(5_002, "clock_timestamp()"))
            yield
            late.commit()

    return play


def _then(*statements: str) -> Callable[[str], Steps]:
    """What happens after the first sync, each statement committed before the next begins."""

    def play(url: str) -> Steps:
        yield from ()
        execute(url, *statements)

    return play


CASES = (
    Case("late", "late commit, by seconds", _late("now()")),
    Case(
        "late-long",
        "late commit, by two hours",
        _late("now() - interval '2 hours'"),
    ),
    Case("tie", "tie at the watermark", _then(insert(5_001, "(select max(updated_at) from orders)"))),
    Case(
        "boundary",
        "update of the newest row, its time unchanged",
        _then(f"update orders set quantity = 99 where order_id = {ROWS}"),
    ),
    Case(
        "silent",
        "update of an older row, its time unchanged",
        _then("update orders set quantity = 99 where order_id = 500"),
    ),
    Case("delete", "hard delete", _then("delete from orders where order_id % 100 = 0")),
    Case("null", "NULL as the time", _then(insert(5_001, "null"))),
    Case(
        "bigint",
        "int to bigint, a large value",
        _then(
            "alter table orders alter quantity type bigint",
            TOUCH,
            "update orders set quantity = 3000000000 where order_id = 10",
        ),
    ),
    Case(
        "text",
        "int to text",
        _then(
            "alter table orders alter quantity type text",
            TOUCH,
            "update orders set quantity = 'a dozen' where order_id = 10",
        ),
    ),
    Case("rename", "rename of a column", _then("alter table orders rename label to title", TOUCH)),
)
