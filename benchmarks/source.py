"""The table all is measured on: ``orders``, on a PostgreSQL server of its own; and its changes.

The columns, and roughly the 207 bytes a row has in COPY's binary format, are those of
the measurements the limits come from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.settings import BULK

SETTINGS = {**BULK, "shared_buffers": "512MB", "maintenance_work_mem": "512MB"}
"""Nothing waits for the disk, and no vacuum starts in the middle of a measurement."""

CREATE = """
create table orders (
    order_id uuid not null, user_id uuid not null, quantity int not null, amount numeric(10,2) not null,
    order_date date not null, created_at timestamptz not null, updated_at timestamptz not null,
    status text not null, attrs jsonb not null, note text)
"""
# Everything follows from the number g: each run has the same rows. History ends two days ago.
ROWS = """
insert into orders
select md5('order' || g)::uuid, md5('user' || g %% 250000)::uuid, 1 + g %% 7,
       ((g * 7919::bigint) %% 100000)::numeric / 100,
       (created at time zone 'UTC')::date, created, created + (g %% 1440) * interval '1 minute',
       (array['pending','paid','shipped','delivered','cancelled','refunded'])[1 + (g * 31::bigint) %% 6],
       ('{"device": "' || (array['mobile','desktop','tablet'])[1 + g %% 3] || '", "channel": "'
        || (array['web','app','store','partner'])[1 + (g / 3) %% 4] || '", "campaign": "c' || g %% 977 || '"}')::jsonb,
       case when g %% 2 = 0 then 'leave it with the neighbour at number ' || g %% 100000 || ', after six' end
from (select g, date_trunc('day', now()) - interval '2 days'
               - greatest(%(rows)s - g, 0) * (interval '730 days' / %(rows)s) as created
      from generate_series(%(first)s::bigint, %(last)s::bigint) g) numbered
"""
FINISH = """
alter table orders add primary key (order_id);
create index on orders (updated_at);
create function set_updated_at() returns trigger language plpgsql as
    $$ begin new.updated_at := now(); return new; end $$;
create trigger set_updated_at before insert or update on orders
    for each row execute function set_updated_at();
"""
# The hash picks one row in a hundred, evenly over the table; another hundredth each time.
UPDATE = """
update orders set quantity = quantity + 1, status = 'refunded'
where mod(abs(hashtext(order_id::text)::bigint), 100) = %(number)s %% 100
"""


@dataclass
class Source:
    """The server and its table. ``rows`` at the start; each ``change`` adds a hundredth."""

    server: PostgresServer
    url: str
    rows: int
    changes: int = 0

    def change(self) -> None:
        """Update one row in a hundred and insert one for each hundred; a trigger sets
        ``updated_at`` from the database's clock, as ``cursor_clock: database`` promises."""
        hundredth = max(self.rows // 100, 1)
        first = self.rows + self.changes * hundredth + 1
        with psycopg.connect(self.url, autocommit=True) as connection:
            with connection.transaction():
                connection.execute(UPDATE, {"number": self.changes})
                connection.execute(ROWS, {"rows": self.rows, "first": first, "last": first + hundredth - 1})
            connection.execute("checkpoint")  # its writes are not part of what comes next
        self.changes += 1


@contextmanager
def serving(database: str = "bench") -> Iterator[tuple[PostgresServer, str]]:
    """A server in a temporary folder and the URL of an empty database; stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server runs as an unprivileged account
        server = PostgresServer(folder / "server", settings=SETTINGS)
        try:
            server.start()
            yield server, server.create_database(database)
        finally:
            server.stop(immediate=True)


@contextmanager
def running(rows: int) -> Iterator[Source]:
    """A server with ``rows`` orders, vacuumed."""
    with serving() as (server, url):
        fill(url, rows)
        yield Source(server, url, rows)


def fill(url: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():  # made and filled in one transaction: nothing goes to the log
            connection.execute(CREATE)
            connection.execute(ROWS, {"rows": rows, "first": 1, "last": rows})
            connection.execute(FINISH)
        connection.execute("vacuum (analyze) orders")
        connection.execute("checkpoint")
