"""The YAML that ``discover`` writes: what it finds in tricky schemas, and that it works as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from data_platform.catalog.fields import NAME, NAME_LENGTH_MAX
from data_platform.errors import SourceError, SourceUnreachable
from data_platform.privacy.treatments import hash_value
from data_platform.sandbox.server import PostgresServer
from data_platform.sources.postgres import draft
from data_platform.sources.postgres.config import settings_of
from data_platform.sync import Platform, TableReport, open_platform, sync_changes
from data_platform.sync.sources import check_sources, discover

pytestmark = pytest.mark.slow
HASH_KEY = "a test's key, long enough to be taken"
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
SCHEMA = "Sales.2024"
TRICKY = (Path(__file__).parent / "tricky.sql").read_text(encoding="utf-8")


@dataclass
class Database:
    """A database to look at, and a project that holds nothing but what was written from it."""

    url: str
    root: Path

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def count(self, relation: str) -> int:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(f"select count(*) from {relation}").fetchone()  # type: ignore[call-overload]
            assert found is not None
            return int(found[0])

    @property
    def environ(self) -> dict[str, str]:
        return {"FOUND_URL": self.url, "DATA_PLATFORM_HASH_KEY": HASH_KEY}

    def discover(self, schema: str = "public") -> str:
        return discover(self.environ, source="found", url_env="FOUND_URL", schema=schema)

    def tables(self, schema: str = "public") -> dict[str, Any]:
        """The tables' blocks as YAML reads them."""
        found = yaml.safe_load(self.discover(schema))["tables"]
        assert isinstance(found, dict)
        return found

    def adopt(self, schema: str = "public") -> Platform:
        """A project with the file as it was written, checked against the database."""
        sources = self.root / "catalog" / "sources"
        sources.mkdir(parents=True, exist_ok=True)
        (self.root / "catalog" / "platform.yaml").write_text(PLATFORM)
        (sources / "found.yaml").write_text(self.discover(schema), encoding="utf-8")
        platform = open_platform(self.root, "local", self.environ)
        assert check_sources(platform).mistakes == []
        return platform

    def sync(self, platform: Platform, **options: Any) -> dict[str, TableReport]:
        reports = {r.table.table: r for r in sync_changes(platform, "found", **options)}
        for report in reports.values():
            assert report.error is None, report.error
        return reports


@pytest.fixture
def db(database: str, tmp_path: Path) -> Iterator[Database]:
    yield Database(database, tmp_path)


def rows(platform: Platform, sql: str) -> list[tuple[Any, ...]]:
    with platform.warehouse(read_only=True) as warehouse:
        return warehouse.query(sql).rows


def test_a_tricky_schema_syncs_as_it_was_written(db: Database) -> None:
    """Names that need quotes, in YAML and in SQL, no keys, views, partitions and odd types at once."""
    db.execute(TRICKY)
    platform = db.adopt(SCHEMA)
    tables = platform.catalog.source("found").tables
    relations = {name: settings_of(table).relation[1] for name, table in tables.items()}
    with psycopg.connect(db.url) as connection:
        there = connection.execute(
            "select relname from pg_class c where relnamespace = %s::regnamespace and relkind in ('r', 'p', 'v', 'm')"
            " and not relispartition",
            (f'"{SCHEMA}"',),
        ).fetchall()
    assert sorted(relations.values()) == sorted(name for (name,) in there)

    db.sync(platform)
    for name, relation in relations.items():
        quoted = relation.replace('"', '""')
        assert rows(platform, f"select count(*) from raw_found.{name}") == [
            (db.count(f'"{SCHEMA}"."{quoted}"'),)
        ], relation
    again = db.sync(platform)
    assert {name for name, report in again.items() if report.manifest} == set()


def test_what_is_found_in_a_tricky_schema(db: Database) -> None:
    db.execute(TRICKY)
    blocks = db.tables(SCHEMA)
    (items,) = (block for block in blocks.values() if block and block.get("relation") == "Order Items")
    assert items["key"] == ["Line: #1", "Order No"]
    assert blocks["measured"]["key"] == ["day", "n"]
    assert blocks["by_unique"]["key"] == "c"
    for name in ("no_key", "nullable_key", "partial_key", "deferred", "a_view", "matter", "empty_one"):
        assert (blocks[name]["strategy"], "key" in blocks[name]) == ("replace", False), name
    assert blocks["no_key"]["description"] == 'Says: "things" # and more'
    assert set(blocks["odd_types"]["as"]) == {"grants", "single"}


def test_what_cannot_be_synced_is_left_out_and_says_why(db: Database, postgres: PostgresServer) -> None:
    role = f"reader_{db.url.rpartition('_')[2]}"
    db.execute(
        "create table fine (id int primary key)",
        'create table twins ("Name" text, "name" text, id int primary key)',
        "create table ours (_batch_id int primary key)",
        "create table secret (id int primary key)",
        f"create role {role} login password 'x'",
        f"grant select on fine, twins, ours to {role}",
    )
    try:
        db.url = re.sub("//.*@", f"//{role}:x@", db.url)
        assert list(db.tables()) == ["fine"]
        text = db.discover()
        for name, why in (("twins", "case only"), ("ours", "the platform uses"), ("secret", "SELECT")):
            assert re.search(f"# {name} is left out: .*{why}", text), text
        db.sync(db.adopt())
    finally:
        with postgres.connect(db.url.rpartition("/")[2]) as connection:
            connection.execute(f"drop owned by {role}")
            connection.execute(f"drop role {role}")


SETS = "new.updated_at := now();"
EVERY = "before insert or update on t for each row"
CLOCKS = {
    "every insert and update": (EVERY, SETS, True),
    "current_timestamp": (EVERY, 'new."updated_at" = current_timestamp(3) ;', True),
    "clock_timestamp": (EVERY, "-- stamp\nNEW.updated_at = CLOCK_TIMESTAMP();", True),
    "updates only, so that an insert may bring any time": ("before update on t for each row", SETS, False),
    "inserts only": ("before insert on t for each row", SETS, False),
    "after the row is written": ("after insert or update on t for each row", SETS, False),
    "once a statement": ("before insert or update on t for each statement", SETS, False),
    "under a condition": (f"{EVERY} when (new.n > 0)", SETS, False),
    "for a column": ("before insert or update of n on t for each row", SETS, False),
    "in a branch": (EVERY, f"if new.n > 0 then {SETS} end if;", False),
    "in a loop": (EVERY, f"for i in 1..new.n loop {SETS} end loop;", False),
    "after a return": (EVERY, f"return new; {SETS}", False),
    "in a comment": (EVERY, f"/* {SETS} */", False),
    "in a text": (EVERY, f"raise debug '{SETS}';", False),
    "another time": (EVERY, "new.updated_at := now() - interval '1 hour';", False),
    "only where it is missing": (EVERY, "new.updated_at := coalesce(new.updated_at, now());", False),
    "taken back": (EVERY, f"{SETS} new.updated_at := old.updated_at;", False),
    "another column": (EVERY, "new.seen_at := now();", False),
}


@pytest.mark.parametrize(("trigger", "body", "proven"), CLOCKS.values(), ids=CLOCKS.keys())
def test_whose_clock_sets_the_cursor(db: Database, trigger: str, body: str, proven: bool) -> None:
    db.execute(
        "create table t (id int primary key, n int, updated_at timestamptz not null default now(), seen_at timestamptz)",
        f"create function stamp() returns trigger language plpgsql as $$ begin {body} return new; end $$",
        f"create trigger stamp {trigger} execute function stamp()",
    )
    block = db.tables()["t"]
    assert block["cursor"] == "updated_at"
    assert block.get("cursor_clock") == ("database" if proven else None)


def test_triggers_that_are_off_or_contradict_prove_nothing(db: Database) -> None:
    db.execute(
        "create table t (id int primary key, updated_at timestamptz not null)",
        f"create function stamp() returns trigger language plpgsql as $$ begin {SETS} return new; end $$",
        "create trigger a before insert on t for each row execute function stamp()",
        "create trigger b before update on t for each row execute function stamp()",
    )
    assert db.tables()["t"]["cursor_clock"] == "database"
    db.execute(
        "create function keep() returns trigger language plpgsql as"
        " $$ begin if new.id > 9 then new.updated_at := old.updated_at; end if; return new; end $$",
        "create trigger z before update on t for each row execute function keep()",
    )
    assert "cursor_clock" not in db.tables()["t"]
    db.execute("drop trigger z on t", "alter table t disable trigger b")
    assert "cursor_clock" not in db.tables()["t"]


def test_a_backdated_insert_is_found_as_discovered(db: Database) -> None:
    """A trigger on updates and a default are the usual pair, and no proof for inserts."""
    db.execute(
        "create table t (id int primary key, updated_at timestamptz not null default now())",
        "create index on t (updated_at)",
        f"create function stamp() returns trigger language plpgsql as $$ begin {SETS} return new; end $$",
        "create trigger stamp before update on t for each row execute function stamp()",
        "insert into t values (1)",
    )
    platform = db.adopt()
    db.sync(platform)
    db.execute("insert into t values (2, '2020-01-01')")
    assert db.sync(platform)["t"].rows == 1


def test_a_large_table_is_cut_into_days_and_personal_columns_are_treated(db: Database) -> None:
    db.execute(
        "create table visits (visit_id bigint primary key, user_email text, mobile text, ssn text, phone_verified bool,"
        " created_at timestamptz, updated_at timestamptz)",
        "insert into visits select n, 'P' || n || '@x.example', '+44 20 7946 0958', 's', true,"
        " timestamptz '2026-01-01' + n % 3 * interval '1 day', now() from generate_series(1, 100000) n",
        "create table people (email text primary key, created_at timestamptz)",
        "insert into people values ('a@x.example', now())",
        "analyze",
    )
    platform = db.adopt()
    tables = platform.catalog.source("found").tables
    assert (tables["visits"].partition, tables["people"].partition) == ("created_at", None)
    assert dict(tables["visits"].personal) == {"user_email": "hash", "mobile": "mask", "ssn": "redact"}
    assert dict(tables["people"].personal) == {"email": "hash"}
    reports = db.sync(platform)
    assert dict(reports["visits"].touched) == {
        "2026-01-01": 33333, "2026-01-02": 33334, "2026-01-03": 33333,
    }  # fmt: skip
    assert rows(platform, "select email from raw_found.people") == [
        (hash_value("email", "a@x.example", HASH_KEY.encode()),)
    ]
    assert rows(platform, "select distinct mobile, ssn from raw_found.visits") == [
        ("+44********58", "[redacted]")
    ]


def test_guesses_about_people_are_questions_and_types_and_keys_are_heard(db: Database) -> None:
    """What a customer's database has: secrets under many names, and names that only sound like them."""
    db.execute(
        "create table taxes (id uuid primary key, rate numeric)",
        "create table users (id int primary key, login_name text not null unique, passwordhash text, secrets text, invite_token text,"
        " otp_digest bytea, born_on date, phone bigint, preferences jsonb, token_limit int, sign_in_count int)",
        "create table lines (id int primary key, tax_id uuid references taxes, owner text references users (login_name),"
        " product_display_name text, token int unique)",
        "create table tokens (token int primary key, n int)",
    )
    blocks = db.tables()
    assert blocks["users"]["personal"] == {
        "login_name": "hash?", "passwordhash": "redact?", "secrets": "redact?", "invite_token": "redact?",
        "otp_digest": "redact?", "born_on": "redact?", "phone": "mask?", "preferences": "redact?",
    }  # fmt: skip
    assert blocks["lines"]["personal"] == {"owner": "hash?"}
    # a number is no token, whatever it is called; without the type's word the name would be asked about
    assert blocks["tokens"]["personal"] == {"token": "not_personal"}
    platform = db.adopt()
    assert len(platform.catalog.questions) == 9
    assert "tables.users.personal.passwordhash" in " ".join(platform.catalog.questions)
    db.sync(platform)
    file = db.root / "catalog" / "sources" / "found.yaml"
    undecided = re.sub(r"\n *invite_token: .*", "", file.read_text())
    file.write_text(undecided)
    (report,) = sync_changes(open_platform(db.root, "local", db.environ), "found", ["users"])
    assert "invite_token (looks like a token)" in str(report.error) and "`keep`" in str(report.error)


def test_a_name_of_any_length_and_script(db: Database) -> None:
    """Every table gets a name the catalog takes, its own ones included."""
    names = [
        "x" * 63,
        "x" * 62 + ".",
        "9" * 63,
        *(f"{'9' * 50}{n}" for n in range(12)),
        "ü",
        "ß",
        "日本",
        "__",
        "Is It?",
    ]
    db.execute(*(f'create table "{name}" (id int primary key)' for name in names))
    relations = db.adopt().catalog.source("found").tables.values()
    assert {settings_of(table).relation[1] for table in relations} == set(names)


def test_the_table_of_a_name_keeps_it_and_another_gets_a_number(db: Database) -> None:
    """Whichever comes first: capitals sort before small letters, and views after tables."""
    db.execute(
        'create table "Orders" (id int primary key)',
        'create table "order items" (id int primary key)',
        "create table orders (nr int primary key)",
        "create view order_items as select 1 as n",
        'create table "ORDERS" (id int primary key)',
    )
    tables = db.adopt().catalog.source("found").tables
    relations = {name: settings_of(table).relation[1] for name, table in tables.items()}
    assert relations == {
        "orders": "orders",
        "orders_2": "ORDERS",
        "orders_3": "Orders",
        "order_items": "order_items",
        "order_items_2": "order items",
    }
    assert (NAME.strip("^$"), NAME_LENGTH_MAX) == (draft._NAME, draft.NAME_LENGTH_MAX)


def test_tables_that_inherit_are_tables_of_their_own(db: Database) -> None:
    db.execute(
        "create table vehicle (id int primary key, label text)",
        "create table truck (axles int, primary key (id)) inherits (vehicle)",
        "insert into vehicle values (1, 'any')",
        "insert into truck values (2, 'large', 3)",
    )
    assert "# read without the rows of what inherits from it: truck" in db.discover()
    platform = db.adopt()
    reports = db.sync(platform)
    assert (reports["vehicle"].rows, reports["truck"].rows) == (1, 1)


def test_a_schema_without_tables(db: Database) -> None:
    with pytest.raises(SourceError, match="--schema"):
        db.discover("nothing_here")


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    away = Database("postgresql://reader:hunter2@127.0.0.1:1/none", tmp_path)
    with pytest.raises(SourceUnreachable) as raised:
        away.discover()
    assert "hunter2" not in str(raised.value)
