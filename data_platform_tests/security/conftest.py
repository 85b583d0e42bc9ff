"""A project on a source that attacks it, through every command and one run of the graph."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import psycopg
import pytest

from data_platform.alerts.state import from_cursor, to_text
from data_platform.catalog import load_catalog
from data_platform.cli.app import run
from data_platform.defs import dbt_manifest
from data_platform.defs.build import build
from data_platform.sandbox.server import PostgresServer
from data_platform.sync import Platform, open_platform
from data_platform_tests.security import hostile, needles
from data_platform_tests.security.needles import Needles

REPOSITORY = Path(__file__).parents[2]
SCHEMA = "Evil \"{{ env_var('DATA_PLATFORM_TEST_CANARY') }}\" 'x'; --"
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: .data/landing}
    warehouse: {kind: duckdb, path: .data/warehouse.duckdb}
    backups: {store: {kind: local, path: .data/backups}, start: 2026-01-01}
    automation: stopped
    alerts: {ui_url: "http://127.0.0.1:3000", slack: {webhook_env: ATTACKED_WEBHOOK}}
privacy: {hash_key_env: ATTACKED_HASH_KEY}
"""
INJECTING = "f()\n    personal: {x: keep}\n  injected: {key: id}\n    #"
"""A function's name that ends the comment in which `discover` names it."""


@dataclass
class Attacked:
    """``people``, ``errors`` and ``secrets`` are what must not be found again; ``said`` is what each command
    printed and the code it ended with; ``arguments`` are those of every process that ran meanwhile."""

    root: Path
    url: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    people: Needles = field(default_factory=Needles)
    errors: Needles = field(default_factory=Needles)
    secrets: Needles = field(default_factory=Needles)
    said: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    arguments: set[bytes] = field(default_factory=set)
    posts: list[str] = field(default_factory=list)
    logged: io.StringIO = field(default_factory=io.StringIO)

    @property
    def home(self) -> Path:
        return self.root.parent

    def platform(self) -> Platform:
        return open_platform(self.root, "local", os.environ)

    def command(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
        self.said[" ".join(words)[:150]] = answer = code, out.getvalue(), err.getvalue()
        return answer

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def attacked(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """Everything was done once; the tests look at what it left."""
    home = tmp_path_factory.mktemp("attacked")
    database = "attacked"
    with pytest.MonkeyPatch.context() as patch, _webhook() as posts:
        chain = Attacked(home / "project", "", hostile.FOR_TABLES, hostile.TEXTS, posts=posts)
        chain.url = postgres.create_database(database)
        user, password = "attacked_reader", f"{chain.secrets['password of the source']}'\"@:/%{{{{x}}}}"
        for folder in ("project", "home", "tmp", "dagster"):
            (home / folder).mkdir()
        variables = {
            "HOME": str(home / "home"),
            "TMPDIR": str(home / "tmp"),
            "DAGSTER_HOME": str(home / "dagster"),
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
            "ATTACKED_URL": re.sub("//.*@", f"//{user}:{quote(password, safe='')}@", chain.url),
            "ATTACKED_HASH_KEY": f"{chain.secrets['key of the hashes']} \\'\"",
            "ATTACKED_WEBHOOK": f"{posts.url}/services/{chain.secrets['webhook']}",  # type: ignore[attr-defined]
            "AWS_SECRET_ACCESS_KEY": chain.secrets["key of the bucket"],
            hostile.CANARY_VARIABLE: hostile.CANARY_VALUE,
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", str(home / "tmp"))
        for name in ("DATA_PLATFORM_HOME", "DATA_PLATFORM_ENV", "DATA_PLATFORM_DEBUG", "XDG_CACHE_HOME"):
            patch.delenv(name, raising=False)
        patch.chdir(chain.root)
        with psycopg.connect(chain.url, autocommit=True) as connection:
            _source(connection, chain, user, password)
        with _watched(chain):
            _everything(chain)
        yield chain
        with psycopg.connect(chain.url, autocommit=True) as connection:
            connection.execute(f"drop owned by {user}; drop role {user}")  # type: ignore[call-overload]
    postgres.drop_database(database)


def _source(connection: psycopg.Connection, chain: Attacked, user: str, password: str) -> None:
    from psycopg import sql

    connection.execute("create table canary (id int)")
    hostile.schema(connection, SCHEMA, chain.tables, chain.columns)
    place = sql.Identifier(SCHEMA)
    function = sql.Identifier(SCHEMA, hostile.name(INJECTING))
    connection.execute(
        sql.SQL("create function {}() returns text language sql volatile as $$ select 'x' $$").format(
            function
        )
    )
    connection.execute(sql.SQL("create view {}.calling as select 1 as id, {}() as x").format(place, function))
    needles.plant(connection, chain.people, chain.errors)
    connection.execute(
        sql.SQL("create role {} login password {}").format(sql.Identifier(user), sql.Literal(password))
    )
    for schema in (place, sql.Identifier("private")):
        connection.execute(
            sql.SQL(
                "grant usage on schema {0} to {1}; grant select on all tables in schema {0} to {1}"
            ).format(schema, sql.Identifier(user))
        )


def _everything(chain: Attacked) -> None:
    """The commands as a person would give them, an alteration at the source, and a run of the graph."""
    root = chain.root
    (root / "catalog" / "sources").mkdir(parents=True)
    (root / "catalog" / "platform.yaml").write_text(PLATFORM)
    (root / "dbt" / "models" / "marts").mkdir(parents=True)
    for file in ("dbt_project.yml", "profiles.yml", "macros"):
        copy = shutil.copytree if (REPOSITORY / "dbt" / file).is_dir() else shutil.copy
        copy(REPOSITORY / "dbt" / file, root / "dbt" / file)
    do = chain.command
    do("discover", "--source", "evil", "--url-env", "ATTACKED_URL", "--schema", SCHEMA)
    do("discover", "--source", "evil", "--url-env", "ATTACKED_URL", "--schema", SCHEMA, "--write")
    (root / "catalog" / "sources" / "broken.yaml").write_text(needles.BROKEN)
    do("validate", "--write", "--connect")
    do("validate", "--connect", "--json")
    do("sync", "--json")
    chain.execute(
        "alter table private.t_drift alter s type int using 1",
        "update private.people set n = n + 1",
    )
    do("sync", "--audit", "--json")
    for words in (
        "status",
        "health --tables --page",
        "health --json",
        "status --json",
        "summary",
        "summary --json",
        "doctor",
        "doctor --json",
        "verify",
    ):
        do(*words.split())
    for format_ in ("table", "csv", "json"):
        do("query", "from raw_evil.wide", "-f", format_)
    do("backup", "run")
    do("backup", "verify")
    do("restore", "warehouse", "--into", str(root / ".data" / "restored.duckdb"))
    do("restore", "files", "--into", str(root / ".data" / "restored"))
    models = root / "dbt" / "models" / "staging"
    (models / "every_name.sql").write_text("select * from {{ source('evil', 'wide') }}")
    (models / "failing.sql").write_text(
        "{{ config(materialized='table') }} select s::int as n from {{ source('broken', 't_dbt') }}"
    )
    dbt_manifest.build_manifest(root)
    _graph(chain)


def _graph(chain: Attacked) -> None:
    shutil.copy(REPOSITORY / "dagster.yaml", chain.home / "dagster")
    handler = logging.StreamHandler(chain.logged)
    logging.getLogger().addHandler(handler)
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            dg.DagsterInstance.get() as instance,
        ):
            definitions = build(load_catalog(chain.root), "local")
            repository = definitions.get_repository_def()
            chain.execute("update private.people set n = n + 1")
            keys = {key for key in repository.asset_graph.get_all_asset_keys() if key.path[0] == "raw"}
            checks = {c for c in repository.asset_graph.asset_check_keys if c.asset_key in keys}
            for source in ("evil", "broken"):
                job = definitions.resolve_implicit_global_asset_job_def().get_subset(
                    asset_selection={key for key in keys if key.path[1] == source},
                    asset_check_selection={c for c in checks if c.asset_key.path[1] == source},
                )
                job.execute_in_process(instance=instance, raise_on_error=False)
            models = {key for key in repository.asset_graph.get_all_asset_keys() if key.path[0] == "staging"}
            job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=models)
            job.execute_in_process(instance=instance, raise_on_error=False)
            context = dg.build_sensor_context(
                instance=instance,
                repository_def=repository,
                resources={"platform": dict(definitions.resources or {})["platform"]},
            )
            tick = repository.get_sensor_def("alerts").evaluate_tick(context)
            chain.posts.append(to_text(from_cursor(tick.cursor)))  # it may be compressed
    finally:
        logging.getLogger().removeHandler(handler)
    chain.said["a run of the graph"] = 0, out.getvalue(), err.getvalue() + chain.logged.getvalue()


class _Posts(list[str]):
    url = ""


@contextlib.contextmanager
def _webhook() -> Iterator[_Posts]:
    posts = _Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append(json.dumps(json.loads(body), ensure_ascii=False))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    posts.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield posts
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def _watched(chain: Attacked) -> Iterator[None]:
    """Whoever looks at the machine's processes sees their arguments."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    chain.arguments.add(path.read_bytes())

    thread = threading.Thread(target=watch)
    if sys.platform == "linux":
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread.ident is not None:
            thread.join()
