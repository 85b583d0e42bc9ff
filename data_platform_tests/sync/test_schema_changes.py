"""A source that is altered under a sync: what flows by itself, what waits for a person, and that
nothing which has landed is lost and no other table is held up.

Every case is a table of one database, so that they run beside each other in few syncs.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import psycopg
import pytest

from data_platform.alerts.problem import SUMMARY_CHARACTERS
from data_platform.errors import DuplicateKey, SchemaDrift, TableMissing
from data_platform.sources.postgres.types import quote
from data_platform.sync import TableReport, load_pending
from data_platform.tables import TableId
from data_platform_tests.landing.chains import problems_of
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

BASE = """
create table {t} (id int primary key, label varchar(10), amount numeric(10,2), n int, at timestamptz);
insert into {t} select g, 'n' || g, g + 0.25, g, timestamptz '2026-01-01 12:00+00' + g % 3 * interval '1 day'
    from generate_series(1, 12) g;
"""
PARTITIONED = """
create table {t} (id int, at timestamptz, n int, primary key (id, at)) partition by range (at);
create table {t}_1 partition of {t} for values from ('2026-01-01') to ('2026-01-02');
create table {t}_2 partition of {t} for values from ('2026-01-02') to ('2026-01-03');
create table {t}_3 (id int not null, at timestamptz not null, n int);
insert into {t} select g, timestamptz '2026-01-01 12:00+00' + g % 2 * interval '1 day', g from generate_series(1, 8) g;
insert into {t}_3 select g, timestamptz '2026-01-03 12:00+00', g from generate_series(21, 24) g;
"""
BLOCK = {"key": "id", "partition": "at"}
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")
Outcome = Literal["flows", "anew", "waits"]


@dataclass(frozen=True)
class Case:
    """``change`` is what happens at the source. It *flows*, is read *anew* by itself, or *waits* with
    ``error``, whose text holds ``told``, until ``mend`` at the source, ``block`` in the catalog
    and then a refresh (or, with ``by_itself``, nothing more) resolve it."""

    name: str
    change: str
    outcome: Outcome = "flows"
    told: str = ""
    error: type[Exception] = SchemaDrift
    create: str = BASE
    mend: str = ""
    since: int = 13
    """The first PostgreSQL that has it."""
    key: Any = "id"
    block: dict[str, Any] = field(default_factory=dict)
    by_itself: bool = False

    def sql(self, text: str) -> str:
        return text.replace("{t}", self.name)


CASES = [
    # additive, or of a wider type: it flows, or is read anew by itself
    Case("added", "alter table {t} add extra int"),
    Case("added_and_set", "alter table {t} add extra int; update {t} set extra = id where id < 4"),
    Case("added_default_later", "alter table {t} add extra int; alter table {t} alter extra set default 7"),
    Case("added_default", "alter table {t} add extra int default 7", "anew", "extra is new"),
    Case("added_not_null", "alter table {t} add extra int not null default 7", "anew", "extra is new"),
    Case("added_no_default_left", "alter table {t} add extra int default 7; alter table {t} alter extra drop default",
         "anew", "extra is new"),
    Case("added_random", "alter table {t} add extra float8 default random()", "anew"),
    Case("added_stored", "alter table {t} add extra int generated always as (n * 2) stored", "anew"),
    Case("added_virtual", "alter table {t} add extra int generated always as (n * 2) virtual", "anew", "extra is new",
         since=18),
    Case("added_identity", "alter table {t} add extra int generated always as identity", "anew"),
    Case("wider_int", "alter table {t} alter n type bigint; update {t} set n = 9223372036854775807 where id = 1",
         "anew", "n was integer and is bigint"),
    Case("wider_text", "alter table {t} alter label type varchar(40)"),
    Case("wider_to_text", "alter table {t} alter label type text; update {t} set label = repeat('x', 99) where id = 2"),
    Case("wider_numeric", "alter table {t} alter amount type numeric(14,2); update {t} set amount = 99999999999.99 where id = 1",
         "anew", "amount was numeric(10,2) and is numeric(14,2)"),
    Case("wider_scale", "alter table {t} alter amount type numeric(14,4); update {t} set amount = 1.2345 where id = 1", "anew"),
    Case("shorter_text", "alter table {t} alter label type varchar(2) using left(label, 2)", "anew"),
    Case("relabelled", "alter table {t} alter network type inet", "anew", "network was cidr and is inet",
         create=BASE + "alter table {t} add network cidr default '10.1.2.3/32';"),
    # values that read otherwise though no row was touched
    Case("label_added", "alter type {t}_mood add value 'great'",
         create="create type {t}_mood as enum ('bad', 'good');" + BASE + "alter table {t} add mood {t}_mood default 'bad';"),
    Case("label_renamed", "alter type {t}_mood rename value 'bad' to 'sad'", "anew", "values of mood changed without",
         create="create type {t}_mood as enum ('bad', 'good');" + BASE + "alter table {t} add mood {t}_mood default 'bad';"),
    Case("attribute_added", "alter type {t}_pair add attribute c int", "anew", "values of pair changed without",
         create="create type {t}_pair as (a int, b text);" + BASE + "alter table {t} add pair {t}_pair default row(1, 'x');"),
    Case("expression_changed", "alter table {t} alter twice set expression as (n * 3)", "anew", "twice changed without",
         create=BASE + "alter table {t} add twice int generated always as (n * 2) virtual;", since=18),
    Case("view_changed", "create or replace view {t} as select id, label || '!' as label, at from {t}_of", "anew",
         create=BASE.replace("{t}", "{t}_of") + "create view {t} as select id, label::text, at from {t}_of;"),
    # the relation below the name
    Case("truncated", "truncate {t}", "anew", "file was replaced"),
    Case("reloaded", "create table {t}_copy as table {t}; truncate {t}; insert into {t} select * from {t}_copy where id > 3",
         "anew", "file was replaced"),
    Case("recreated", "drop table {t};" + BASE + "delete from {t} where id < 5", "anew", "another relation"),
    Case("replaced_by_view", "alter table {t} rename to {t}_old; create view {t} as select * from {t}_old where id > 2",
         "anew", "another relation"),
    Case("made_partitioned",
         "alter table {t} rename to {t}_old; alter table {t}_old drop constraint {t}_pkey; alter table {t}_old alter at set not null;"
         "create table {t} (like {t}_old, primary key (id, at)) partition by range (at);"
         "alter table {t} attach partition {t}_old default; update {t} set n = 0 where id = 1",
         "anew", "another relation", key=["id", "at"],
         create=BASE.replace("at timestamptz", "at timestamptz not null")),
    Case("attached", "alter table {t} attach partition {t}_3 for values from ('2026-01-03') to ('2026-01-04')",
         told="1 partition(s) are new", create=PARTITIONED, key=["id", "at"]),
    Case("new_partition", "create table {t}_4 partition of {t} for values from ('2026-01-04') to ('2026-01-05')",
         create=PARTITIONED, key=["id", "at"]),
    Case("detached", "alter table {t} detach partition {t}_2", told="1 partition(s) are gone",
         create=PARTITIONED, key=["id", "at"]),
    Case("inherits", "alter table {t}_child inherit {t}; update {t} set n = 7 where id = 2",
         create=BASE + "create table {t}_child (like {t}); insert into {t}_child values (50, 'c', 1, 1, '2026-01-02');"),
    # keys and rules that the source gives up, while they still hold
    Case("key_not_enforced", "alter table {t} drop constraint {t}_pkey; update {t} set n = 5 where id = 1"),
    Case("nulls_allowed", "alter table {t} alter at drop not null; update {t} set at = null where id = 1",
         create=BASE.replace("at timestamptz", "at timestamptz not null")),
    # anything else waits for a person, and says so
    Case("dropped", "alter table {t} drop amount", "waits", "the column amount is gone"),
    Case("renamed", "alter table {t} rename label to title", "waits", "label is gone: it is called title now"),
    Case("narrowed_int", "alter table {t} alter n type smallint", "waits", "n was INTEGER (integer) and is SMALLINT"),
    Case("narrowed_numeric", "alter table {t} alter amount type numeric(8,2)", "waits", "amount was DECIMAL(10,2)"),
    Case("fewer_integer_digits", "alter table {t} alter amount type numeric(10,4)", "waits", "amount was DECIMAL(10,2)"),
    Case("int_to_text", "alter table {t} alter n type text", "waits", "n was INTEGER (integer) and is VARCHAR (text)"),
    Case("text_to_int", "alter table {t} alter label type int using substr(label, 2)::int", "waits", "label was VARCHAR"),
    Case("to_unconstrained", "alter table {t} alter amount type numeric", "waits", "is VARCHAR (numeric)"),
    Case("to_double", "alter table {t} alter amount type float8", "waits", "is DOUBLE"),
    Case("zone_added", "alter table {t} alter seen type timestamptz", "waits", "seen was TIMESTAMP (timestamp without",
         create=BASE + "alter table {t} add seen timestamp default '2026-01-01 10:00';"),
    Case("readded", "alter table {t} drop n; alter table {t} add n int", "waits", "n was dropped and another one"),
    Case("readded_wider", "alter table {t} drop n; alter table {t} add n bigint default 1", "waits", "n was dropped and"),
    Case("swapped", "alter table {t} rename n to tmp; alter table {t} rename m to n; alter table {t} rename tmp to m",
         "waits", "n is gone: it is called m now", create=BASE + "alter table {t} add m int default 3;"),
    Case("recreated_otherwise", "drop table {t};" + BASE + "alter table {t} drop label", "waits", "label is gone"),
    Case("many_dropped", "alter table {t} drop n, drop label, drop amount, drop x, add y int", "waits", "and 1 more change",
         create=BASE + "alter table {t} add x int;"),
    # a key that holds no more
    Case("duplicated", "alter table {t} drop constraint {t}_pkey; insert into {t} select 1, 'twin', 1, 1, at from {t} where id = 2",
         "waits", "1 value(s) occur in more than one row", DuplicateKey, mend="delete from {t} where label = 'twin'"),
    Case("null_key", "alter table {t} drop constraint {t}_pkey; alter table {t} alter id drop not null;"
         "insert into {t} values (null, 'none', 1, 1, '2026-01-02')",
         "waits", "NULL in it", DuplicateKey, mend="delete from {t} where id is null"),
    Case("key_moved", "alter table {t} drop constraint {t}_pkey; alter table {t} add primary key (id, label);"
         "insert into {t} select id, 'more', n, n, at from {t} where id < 3",
         "waits", "2 value(s) occur in more", DuplicateKey, block={"key": ["id", "label"]}),
    # what is not there any more
    Case("dropped_table", "drop table {t}", "waits", "{t} is not in the database", TableMissing,
         mend=BASE + "delete from {t} where id > 9", by_itself=True),
    Case("renamed_table", "alter table {t} rename to {t}_new", "waits", "is called public.{t}_new now", TableMissing,
         block={"relation": "public.{t}_new"}, by_itself=True),
    Case("key_renamed", "alter table {t} rename id to order_id", "waits", "no column id (in `key`; it is called order_id now)", TableMissing,
         block={"key": "order_id"}),
    Case("partition_dropped", "alter table {t} drop at", "waits", "no column at (in `partition`)", TableMissing,
         block={"partition": None}),
]  # fmt: skip
UNTOUCHED = "untouched"
SHARE = 24
"""One case in so many is run with each timing and operation; so many seeds run them all."""


def start(project: Project, cases: Sequence[Case]) -> None:
    project.execute(*(case.sql(case.create) for case in cases), BASE.replace("{t}", UNTOUCHED))
    catalog(project, cases)


def catalog(project: Project, cases: Sequence[Case], *, resolved: bool = False) -> None:
    blocks: dict[str, Any] = {UNTOUCHED: BLOCK}
    for case in cases:
        blocks[case.name] = {**BLOCK, "key": case.key}
        for name, value in case.block.items() if resolved else ():
            blocks[case.name][name] = case.sql(value) if isinstance(value, str) else value
    project.catalog(blocks, connection={"lock_timeout_seconds": 60})


class Look:
    """The warehouse and the source, opened once for many questions."""

    def __init__(self, project: Project) -> None:
        self.platform = project.platform()
        self.url = project.url

    def __enter__(self) -> Look:
        self.stack = ExitStack()
        self.warehouse = self.stack.enter_context(self.platform.warehouse(read_only=True))
        self.source = self.stack.enter_context(psycopg.connect(self.url, autocommit=True))
        self.source.execute("set timezone = 'UTC'")
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def rows(self, sql: str) -> list[Any]:
        return self.warehouse.query(sql).rows

    def source_rows(self, sql: str) -> list[Any]:
        return self.source.execute(sql.encode()).fetchall()


def holds_what_the_source_does(look: Look, table: str, relation: str | None = None) -> None:
    relation = relation or table
    plain = ("integer", "bigint", "smallint", "numeric(", "character varying", "text", "timestamp", "double")
    columns = look.source_rows(
        "select attname, format_type(atttypid, atttypmod), c.relkind::text from pg_attribute a"
        f" join pg_class c on c.oid = attrelid where attrelid = '{relation}'::regclass"
        " and attnum > 0 and not attisdropped order by 1"
    )
    version = "null" if columns[0][2] == "v" else "xmin::text::bigint"
    only = "only " if columns[0][2] == "r" else ""
    asked = ", ".join(quote(n) if kind.startswith(plain) else f"{quote(n)}::text" for n, kind, _ in columns)
    source = look.source_rows(f"select {asked}, {version} from {only}{relation}")
    names = ", ".join(quote(name) for name, *_ in columns)
    landed = look.rows(f"select {names}, _source_xmin from raw_shop.{table}")
    assert sorted(landed, key=repr) == sorted(source, key=repr), table
    kept = [name for (name,) in look.rows(f"select column_name from (describe raw_shop.{table}) order by 1")]
    assert [name for name in kept if not name.startswith("_")] == [name for name, *_ in columns], table


def held(project: Project, cases: Sequence[Case]) -> dict[str, list[Any]]:
    with Look(project) as look:
        return {c.name: sorted(look.rows(f"select * from raw_shop.{c.name}"), key=repr) for c in cases}


def did_what_they_say(
    project: Project,
    cases: Sequence[Case],
    before: dict[str, list[Any]],
    first: dict[str, TableReport],
    operation: str = "changes",
) -> None:
    """That ``first``, the sync after the changes, did what each case says; then the ways out."""
    assert first[UNTOUCHED].error is None
    now = held(project, cases)
    waiting = [case for case in cases if case.outcome == "waits"]
    flowing = [case for case in cases if case.outcome != "waits"]
    for case in waiting:
        error = first[case.name].error
        assert isinstance(error, case.error), (case.name, error, first[case.name].operation)
        assert case.sql(case.told) in str(error), case.name
        if not case.by_itself:  # an alert cuts what is longer
            assert f"data-platform sync --refresh shop/{case.name}`" in str(error)[:SUMMARY_CHARACTERS]
        assert now[case.name] == before[case.name], case.name
    for case in flowing:
        report = first[case.name]
        assert report.error is None, (case.name, report.error)
        assert (report.operation == "refresh") == (case.outcome == "anew"), (case.name, report.notes)
        if operation == "changes":
            assert case.told in " ".join(report.notes), (case.name, report.notes)
    # until then every sync says the same, and every other table goes on
    for name, report in project.sync([case.name for case in waiting]).items():
        assert str(report.error) == str(first[name].error)
    quiet = project.sync([case.name for case in flowing])
    for case in flowing:
        assert quiet[case.name].error is None
        if operation == "changes" and "view" not in case.name:  # a view without a cursor is read each time
            assert quiet[case.name].manifest is None, (case.name, quiet[case.name].notes)
    project.execute(*(case.sql(case.mend) for case in waiting if case.mend))
    catalog(project, cases, resolved=True)
    for by_itself in (False, True):
        names = [case.name for case in waiting if case.by_itself == by_itself]
        for report in project.sync(names, refresh=() if by_itself else names).values():
            assert report.error is None, report.error
    everything_is_there(project, cases)
    # nothing that has landed was touched
    platform = project.platform()
    tables = [TableId("shop", name) for name in (*(case.name for case in cases), UNTOUCHED)]
    for table in tables:
        assert problems_of(platform.ledger, table) == []
        assert platform.ledger.read(table, 1).rows


def the_ledger_makes_the_same_tables(project: Project, cases: Sequence[Case]) -> None:
    (project.root / "warehouse.duckdb").unlink()
    platform = project.platform()
    for name in (*(case.name for case in cases), UNTOUCHED):
        load_pending(platform, TableId("shop", name))
    everything_is_there(project, cases)


def everything_is_there(project: Project, cases: Sequence[Case]) -> None:
    with Look(project) as look:
        for case in cases:
            relation = case.sql(case.block["relation"]) if "relation" in case.block else None
            holds_what_the_source_does(look, case.name, relation)
        holds_what_the_source_does(look, UNTOUCHED)


def waits_for_a_lock(project: Project, where: str) -> None:
    """Return once a session with ``where`` waits for a lock."""
    pause = threading.Event()
    for _ in range(2400):
        if project.source_rows(
            "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            f" and {where}"
        ):
            return
        pause.wait(0.025)
    raise AssertionError("nobody waited for a lock")


def tries_again_for_a_lock(project: Project) -> None:
    """Return once a sync has found something locked and asked by whom; it waits for no lock itself."""
    pause = threading.Event()
    for _ in range(2400):
        if project.source_rows(
            f"select 1 from pg_stat_activity where {OURS} and query like '%AccessExclusiveLock%'"
        ):
            return
        pause.wait(0.025)
    raise AssertionError("no sync found anything locked")


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start ``work``; the result waits for it and returns or raises what it did."""
    done: list[Any] = []

    def run() -> None:
        try:
            done.append((work(), None))
        except BaseException as error:
            done.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join()
        value, error = done[0]
        if error is not None:
            raise error
        return value

    return result


OURS = "application_name = 'data_platform'"


def read(project: Project, cases: Sequence[Case], operation: str) -> dict[str, TableReport]:
    """Changes, or every day as a slice."""
    if operation == "changes":
        return project.sync()
    return project.slices([*(case.name for case in cases), UNTOUCHED], *DAYS, "null")


@pytest.fixture
def known(postgres_version: int) -> list[Case]:
    return [case for case in CASES if case.since <= postgres_version]


def test_every_change_between_two_syncs(project: Project, known: list[Case]) -> None:
    start(project, known)
    project.good()
    before = held(project, known)
    project.execute(*(case.sql(case.change) for case in known))
    did_what_they_say(project, known, before, read(project, known, "changes"))


MODES = [
    ("between", "slices"),
    ("while it is read", "changes"),
    ("while it is read", "slices"),
    ("while it is planned", "changes"),
    ("while it is planned", "slices"),
]


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize(("timing", "operation"), MODES)
def test_changes_at_any_moment(
    project: Project, known: list[Case], timing: str, operation: str, seeds: Callable[[int], Sequence[int]]
) -> None:
    for seed in seeds(1):
        cases = known[(seed + MODES.index((timing, operation))) % SHARE :: SHARE]
        for name in ("landing", "warehouse.duckdb"):
            path = project.root / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        project.execute("drop schema public cascade", "create schema public")
        start(project, cases)
        changes = [case.sql(case.change) for case in cases]
        if timing == "while it is read":
            _read_whole_while(project, cases, changes)
        else:
            project.good()
        before = held(project, cases)
        if timing == "between":
            project.execute(*changes)
        if timing == "while it is planned":
            first = _plan_while(project, changes, partial(read, project, cases, operation))
        else:
            first = read(project, cases, operation)
        did_what_they_say(project, cases, before, first, operation)
        the_ledger_makes_the_same_tables(project, cases)


def _read_whole_while(project: Project, cases: Sequence[Case], changes: Sequence[str]) -> None:
    """The first read; once it is under way somebody makes ``changes``, which wait for its locks."""
    with psycopg.connect(project.url) as connection:
        versions = {
            c.name: connection.execute(
                f"select id, {'null' if 'create view' in c.create else 'xmin::text::bigint'} from {c.name}".encode()
            ).fetchall()
            for c in cases
        }
    migration: list[Callable[[], Any]] = []
    first = threading.Lock()  # of several readers

    def under_way(*_: Any) -> None:
        if first.acquire(blocking=False):
            migration.append(in_background(lambda: project.execute(*changes)))
            waits_for_a_lock(project, f"not {OURS}")

    project.good(progress=under_way)
    migration[0]()
    with Look(project) as look:
        for case in cases:
            read = look.rows(f"select id, _source_xmin from raw_shop.{case.name}")
            assert sorted(read, key=repr) == sorted(versions[case.name], key=repr), case.name


def _plan_while(
    project: Project, changes: Sequence[str], sync: Callable[[], dict[str, TableReport]]
) -> dict[str, TableReport]:
    """A sync that finds its tables being changed, and goes on once that is committed."""
    with psycopg.connect(project.url) as migration:
        for change in changes:
            migration.execute(change.encode())
        # some changes take no lock that a reader waits for
        migration.execute(f"lock table {UNTOUCHED} in access exclusive mode")
        reports = in_background(sync)
        tries_again_for_a_lock(project)
        migration.commit()
    return dict(reports())
