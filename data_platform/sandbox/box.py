"""The commands of the sandbox: up, down, status.

One PostgreSQL server for each project, in ``.data/sandbox`` of the project's root (or
in the folder that ``reachable_home`` chooses), with the database ``shop``, and one process
with the services around the shop (``services/``). The database
is built under another name and renamed when it is complete, so that it exists
completely or not at all. Secrets go to ``.env`` in the root, mode 0600.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import SandboxError
from data_platform.local_postgres import reachable_home
from data_platform.sandbox.environment import DATABASE, write_environment
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.process import Services
from data_platform.sandbox.settings import BULK, KEPT

if TYPE_CHECKING:
    from data_platform.sandbox.services.service import Place
    from data_platform.sandbox.services.stripe.deliveries import Deliveries

FILLING = "filling"


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """State of a project's sandbox.

    ``url`` holds a password; it and ``port`` are None while the server is down.
    ``services`` maps the name of each service that runs to its URL on this machine.
    ``orders``, ``seed`` and ``today`` are what the database was generated with, None
    when there is no database. ``generated`` says whether this call made it. ``notes``
    are sentences for the user.
    """

    running: bool
    url: str | None = field(repr=False)
    port: int | None
    home: Path
    data_dir: Path
    orders: int | None = None
    seed: int | None = None
    today: date | None = None
    generated: bool = False
    notes: tuple[str, ...] = ()
    services: Mapping[str, str] = field(default_factory=dict)


def up(
    root: Path,
    orders: int = 20_000,
    seed: int = 1,
    today: date | None = None,
    port: int | None = None,
    fresh: bool = False,
    *,
    faults: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SandboxInfo:
    """Start the servers, generate the shop unless it exists, write ``.env``.

    ``today`` (default: now, UTC) is the first day without history. ``fresh``
    destroys the existing server and creates another one with a new system identifier.
    ``faults`` adds rows that error-level rules catch. SandboxError when the server
    does not start, or when ``port`` is taken.
    """
    today = today or datetime.now(UTC).date()
    home, notes = _home(root)
    with _alone(home):
        server, services = PostgresServer(home, port, settings=KEPT), Services(home)
        if fresh or (home / FILLING).exists():
            server.destroy()
            services.forget()
        try:
            services.launch()  # they get ready while the database does
            generated = _fill_new(server, port, orders, seed, today, faults, on_progress)
            server.start()
            if not generated and DATABASE not in server.databases():
                _generate(server, orders, seed, today, faults, on_progress)
                generated = True
            url = server.url(DATABASE)
            with server.connect(DATABASE) as connection:
                services.install(connection)
            notes += write_environment(root, url, services.variables())
            made = _describe(server)
            services.wait()
        except BaseException:
            if server.pid() is None:
                services.stop()
            raise
    if not generated and made.orders != orders:
        notes.append(f"It already holds {made.orders} orders and was not changed; `--fresh` replaces it.")
    if made.today is not None and (today - made.today).days > 1:
        notes.append(f"Its history ends before {made.today}; traffic or `--fresh` brings it up to today.")
    return SandboxInfo(
        True,
        url,
        server.port,
        home,
        server.data_dir,
        made.orders,
        made.seed,
        made.today,
        generated,
        tuple(notes),
        _urls(services),
    )


def down(root: Path, destroy: bool = False) -> SandboxInfo:
    """Stop the servers that run; ``destroy`` removes its folder too. ``.env`` stays."""
    home, notes = _home(root)
    server = PostgresServer(home)
    with _alone(home):
        was_running = server.pid() is not None
        was_running |= Services(home).stop()
        if destroy:
            server.destroy()
            shutil.rmtree(home, ignore_errors=True)
        else:
            server.stop()
    if not was_running:
        notes.append("The sandbox was not running.")
    return SandboxInfo(False, None, None, home, server.data_dir, notes=tuple(notes))


def status(root: Path) -> SandboxInfo:
    """The current state; changes nothing."""
    home, notes = _home(root)
    server = PostgresServer(home)
    if not server.running():
        return SandboxInfo(False, None, None, home, server.data_dir, notes=tuple(notes))
    if DATABASE not in server.databases():
        notes.append(f"The server runs but has no database {DATABASE}; bring the sandbox up again.")
        return SandboxInfo(True, None, server.port, home, server.data_dir, notes=tuple(notes))
    info = _describe(server)
    return SandboxInfo(
        True,
        server.url(DATABASE),
        server.port,
        home,
        server.data_dir,
        info.orders,
        info.seed,
        info.today,
        notes=tuple(notes),
        services=_urls(Services(home)),
    )


def deliver(root: Path, url: str) -> None:
    """Let the sandbox's Stripe send webhooks to ``url`` of whatever happens from now on."""
    from data_platform.sandbox.services.stripe.deliveries import register

    register(_stripe(root), url)


def delivered(root: Path, url: str) -> Deliveries:
    """What became of them, once all are delivered or given up (within a minute)."""
    from data_platform.sandbox.services.stripe.deliveries import wait

    return wait(_stripe(root), url)


# ---------------------------------------------------------------- inner helpers


def _stripe(root: Path) -> Place:
    place = Services(_home(root)[0]).places().get("stripe")
    if place is None:
        raise SandboxError("The sandbox has no Stripe yet: bring it up with `data-platform sandbox up`.")
    return place


@dataclass(frozen=True, slots=True)
class _Made:
    orders: int | None = None
    seed: int | None = None
    today: date | None = None


def _urls(services: Services) -> dict[str, str]:
    running = services.pid() is not None
    return {name: place.url for name, place in services.places().items()} if running else {}


def _home(root: Path) -> tuple[Path, list[str]]:
    wanted = root.absolute() / ".data" / "sandbox"
    home = reachable_home(wanted)
    if home == wanted:
        return home, []
    return home, [f"PostgreSQL's unprivileged account cannot enter {wanted}, so the sandbox lives in {home}."]


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One ``up`` or ``down`` of a sandbox at a time; the next one waits."""
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill_new(
    server: PostgresServer,
    port: int | None,
    orders: int,
    seed: int,
    today: date,
    faults: bool,
    on_progress: Callable[[int, int], None] | None,
) -> bool:
    """Make and fill the server if it does not exist yet; False if it does.

    Nothing can be lost yet, so it does not wait for the disk until all is loaded. A
    marker tells the next ``up`` to start over if this one does not get that far.
    """
    if server.initialised():
        return False
    marker = server.home / FILLING
    marker.touch()
    filling = PostgresServer(server.home, port, settings=BULK, install=server.install)
    try:
        filling.start()
        _generate(filling, orders, seed, today, faults, on_progress)
    finally:
        filling.stop()
    server.run("initdb", "--sync-only", "-D", str(server.data_dir))
    marker.unlink()
    return True


def _generate(
    server: PostgresServer,
    orders: int,
    seed: int,
    today: date,
    faults: bool,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    from psycopg import sql

    from data_platform.sandbox.generate import generate

    building = f"{DATABASE}_new"
    server.drop_database(building)
    generate(
        server.create_database(building),
        orders=orders,
        seed=seed,
        today=today,
        faults=faults,
        on_progress=on_progress,
    )
    made = json.dumps({"orders": orders, "seed": seed, "today": today.isoformat()})
    with server.connect() as connection:
        connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(building), sql.Literal(made))
        )
        # Autovacuum may be looking at it.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (building,)
        )
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(building), sql.Identifier(DATABASE)
            )
        )


def _describe(server: PostgresServer) -> _Made:
    """What the database says about its own making; a person may have dropped the comment."""
    with server.connect() as connection:
        row = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (DATABASE,)
        ).fetchone()
    try:
        made = json.loads(row[0]) if row else {}
        return _Made(int(made["orders"]), int(made["seed"]), date.fromisoformat(made["today"]))
    except (TypeError, ValueError, KeyError):
        return _Made()
