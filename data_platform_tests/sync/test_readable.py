"""What cannot be read is said before the first sync: by discover, by validate and by doctor, with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
import yaml

from data_platform.doctor.look import look_at_source
from data_platform.sync import check_sources
from data_platform.sync.sources import discover
from data_platform_tests.conftest import Role
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

STRANGE = """
create table orders (id int primary key, total numeric(10,2), updated_at timestamptz not null);
insert into orders select g, g, '2024-01-01'::timestamptz + g * interval '1 min' from generate_series(1, 20000) g;
create view fine as select id, total from orders;
create view v_random as select id from orders where random() < 0.5;
create view v_on_random as select id + 1 as id from v_random;
create view v_bad as select id, 1 / (id - 3) as x from orders;
create view v_now as select id from orders where updated_at < clock_timestamp();
create function own(int) returns int language sql as 'select $1';
create view v_own as select own(id) as id from orders;
create materialized view mv_empty as select id from orders with no data;
create materialized view mv_full as select id from orders;
create table tenants (id int primary key, tenant text);
alter table tenants enable row level security;
create policy own_rows on tenants using (tenant = current_user);
insert into tenants values (1, 'a'), (2, 'b');
create table partly (id int primary key, plan text, hidden int);
create table denied (id int primary key);
create extension postgres_fdw;
create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', dbname 'x', connect_timeout '2');
create user mapping for public server far options (user 'x', password 'y', password_required 'false');
create foreign table a_remote (id int, v text) server far options (schema_name 'public', table_name 'a_remote');
create extension pg_stat_statements;
"""
INVOKERS = 150000
"""From this version on a view may be read with the rights of who reads it."""
INVOKER_VIEW = "create view v_tenants with (security_invoker) as select id from tenants"
GRANTED = "orders, fine, v_random, v_on_random, v_bad, v_now, v_own, mv_empty, mv_full, tenants, v_tenants, a_remote"
NOT_READ = {
    "v_random": r"calls random\(\), and it returns other rows each time",
    "v_on_random": r"calls random\(\), and it returns other rows each time",
    "v_bad": "divides by zero|division by zero",
    "mv_empty": "never filled.*REFRESH MATERIALIZED VIEW",
    "tenants": "row-level security applies",
    "v_tenants": "row-level security|row security|not permitted",
    "a_remote": "foreign table",
    "denied": "may not SELECT",
}
EXTENSIONS = {"pg_stat_statements": "belongs to the extension pg_stat_statements"}


@pytest.fixture
def strange(project: Project, reader: Role) -> Project:
    with psycopg.connect(project.url, autocommit=True) as connection:
        if not connection.execute(
            "select 1 from pg_available_extensions where name = 'pg_stat_statements'"
        ).fetchone():
            pytest.skip("this server has no pg_stat_statements")
        version = connection.info.server_version
    project.execute(STRANGE)
    if version >= INVOKERS:
        project.execute(INVOKER_VIEW)
    granted = GRANTED if version >= INVOKERS else GRANTED.replace(", v_tenants", "")
    project.execute(
        f"grant select on {granted} to {reader.name}",
        f"grant select (id, plan) on partly to {reader.name}",
    )
    return Project(project.root, reader.url)


def not_read(project: Project) -> dict[str, str]:
    there = {name for (name,) in project.source_rows("select relname from pg_class")}
    return {name: why for name, why in NOT_READ.items() if name in there}


def test_what_cannot_be_read_is_said_before_the_first_sync(strange: Project) -> None:
    text = discover({"SHOP_URL": strange.url}, source="shop", url_env="SHOP_URL")
    for name, why in {**not_read(strange), **EXTENSIONS}.items():
        assert re.search(f"^  # {name} is left out: .*({why})", text, re.MULTILINE), (name, text)
    blocks = yaml.safe_load(text)["tables"]
    assert set(blocks) == {"orders", "fine", "v_now", "v_own", "mv_full", "partly"}
    assert blocks["partly"]["only"] == ["id", "plan"]
    for name, called in (("v_now", "clock_timestamp"), ("v_own", "own")):
        assert re.search(f"  {name}:\n    # it calls {called}\\(\\), so that it may hold other rows", text)
    assert {n: b.get("read_every_hours") for n, b in blocks.items()} == {
        "orders": None, "fine": 24, "v_now": 24, "v_own": 24, "mv_full": 24, "partly": 24,
    }  # fmt: skip
    assert {b.get("freshness_hours") for b in blocks.values()} == {
        None,
        48,
    }  # or it would be stale between reads
    strange.catalog({})
    (strange.root / "catalog" / "sources" / "shop.yaml").write_text(text)
    assert check_sources(strange.platform()).mistakes == []
    strange.good()  # and all that is left can be read


def test_validate_and_doctor_try_what_the_catalog_names(strange: Project) -> None:
    expected = not_read(strange)
    replaced = {name: {"strategy": "replace"} for name in expected if name not in ("denied", "tenants")}
    strange.catalog(
        {"orders": {"key": "id"}, "tenants": {"key": "id"}, "v_now": {"strategy": "replace"}, **replaced}
    )
    platform = strange.platform()
    found = check_sources(platform)
    told = {mistake.split(" ")[0].removeprefix("shop/"): mistake for mistake in found.mistakes}
    assert set(told) == set(expected) - {"denied"}, found.mistakes
    for name, why in expected.items():
        assert name == "denied" or re.search(why, told[name]), told[name]
    assert len(found.notes) == 1 and "v_now" in found.notes[0] and "clock_timestamp()" in found.notes[0]
    tables = [
        f for f in look_at_source(platform, platform.catalog.source("shop")) if f.check.endswith(": tables")
    ]
    assert [f.state for f in tables] == ["fail"]
    assert "mv_empty" in str(tables[0]) and "a_remote" in str(tables[0])


def test_a_view_that_takes_long_is_no_problem(project: Project, tmp_path: Path) -> None:
    project.execute(
        "create view slow as select pg_sleep(60) is null as x", "create table t (id int primary key)"
    )
    project.catalog({"slow": {"strategy": "replace"}, "t": {"key": "id"}})
    found = check_sources(project.platform())
    assert found.mistakes == []
