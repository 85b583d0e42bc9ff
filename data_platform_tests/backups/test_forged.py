"""A backup's manifest that somebody else wrote: nothing of it runs but what makes the tables it lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_platform.backups.archive import MANIFESTS
from data_platform.backups.manifest import BackupManifest
from data_platform.backups.restore import drill
from data_platform.errors import BackupDamaged, WarehouseError
from data_platform_tests.backups.conftest import Box, config

STATEMENTS = [
    "COPY (SELECT 1) TO '{out}'",
    "CREATE VIEW staging.c AS SELECT 1; COPY (SELECT 1) TO '{out}'",
    "CREATE VIEW staging.c AS SELECT * FROM read_text('/etc/passwd')",
    "CREATE VIEW staging.c AS SELECT * FROM '/etc/passwd'",
    "CREATE VIEW staging.c AS SELECT * FROM read_parquet('{root}/primary/**/*.parquet')",
    "CREATE VIEW staging.c AS SELECT (SELECT content FROM read_text('{root}/primary/x') LIMIT 1) AS a",
    "CREATE VIEW staging.\"x AS SELECT 1\" AS SELECT * FROM glob('/etc/*')",
    "CREATE VIEW staging.c AS SELECT * FROM query('SELECT 1')",
    "CREATE VIEW staging.c AS SELECT * FROM duckdb_secrets()",
    "CREATE VIEW staging.c AS (COPY (SELECT 1) TO '{out}')",
    "CREATE OR REPLACE VIEW staging.c AS SELECT 1",
    "CREATE TEMP VIEW c AS SELECT 1",
    "CREATE MACRO m() AS TABLE SELECT * FROM read_text('/etc/passwd')",
    "CREATE SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "CREATE INDEX i ON raw_shop.orders(id); COPY (SELECT 1) TO '{out}'",
    "CREATE INDEX i ON raw_shop.orders((nextval('s')))",
    "CREATE TABLE raw_shop.more AS SELECT * FROM read_text('/etc/passwd')",
    "COMMENT ON TABLE raw_shop.orders IS 'x'; COPY (SELECT 1) TO '{out}'",
    "COMMENT ON TABLE raw_shop.orders IS 'x' || (SELECT 1)",
    "INSERT INTO raw_shop.orders VALUES (1)",
    "DROP TABLE raw_shop.orders",
    "ATTACH '{out}'",
    "INSTALL httpfs",
    "PRAGMA enable_profiling",
    "CALL enable_logging('QueryLog', storage='file', storage_config={{'path': '{out}'}})",
    "/* */ COPY (SELECT 1) TO '{out}'",
]
CREATES = [
    "COPY (SELECT 1) TO '{out}'",
    "CREATE TABLE raw_shop.orders(id BIGINT); COPY (SELECT 1) TO '{out}'",
    "CREATE TABLE raw_shop.orders AS SELECT * FROM read_text('/etc/passwd')",
    "CREATE TABLE raw_shop.orders(id) AS SELECT 1",
    "CREATE TABLE raw_shop.orders(id, note, \"Total\", made) AS SELECT 1::BIGINT, '', 1::DECIMAL(10,2), now()",
    "CREATE TABLE raw_shop.other(id BIGINT)",
    "CREATE TABLE raw_shop.orders(id BIGINT)",
    "CREATE VIEW raw_shop.orders AS SELECT 1",
    "CREATE OR REPLACE TABLE raw_shop.orders(id BIGINT)",
]


def test_a_statement_that_makes_anything_else_is_refused(box: Box) -> None:
    out = box.root / "written.out"
    made = box.back_up().manifest
    for statement in STATEMENTS:
        evil = statement.replace("{{", "{").replace("}}", "}").replace("{out}", str(out))
        _forge(box, replace(made, statements=(*made.statements, evil.replace("{root}", str(box.root)))))
        _refused(box, out, statement)
    with pytest.raises(WarehouseError, match="The backup is refused"):
        box.restore()
    assert not (box.root / "restored.duckdb").exists()


def test_a_table_s_statement_that_makes_anything_else_is_refused(box: Box) -> None:
    out = box.root / "written.out"
    made = box.back_up().manifest
    for create in CREATES:
        tables = tuple(
            replace(t, table=replace(t.table, create=create.replace("{out}", str(out))))
            if t.table.name == "orders"
            else t
            for t in made.tables
        )
        _forge(box, replace(made, tables=tables))
        _refused(box, out, create)


def test_a_type_or_a_schema_that_is_more_than_its_name_is_refused(box: Box) -> None:
    out = box.root / "written.out"
    made = box.back_up().manifest
    first = made.tables[0]
    column = replace(first.table.columns[0], type=f"BIGINT); COPY (SELECT 1) TO '{out}'; SELECT (1")
    forged = replace(first, table=replace(first.table, columns=(column, *first.table.columns[1:])))
    _forge(box, replace(made, tables=(forged, *made.tables[1:])))
    with pytest.raises(BackupDamaged, match="a column's type is invalid"):
        box.restore()
    _forge(box, replace(made, schemas=(*made.schemas, f"x\"; COPY (SELECT 1) TO '{out}'; --")))
    box.restore()  # a name, however odd
    assert not out.exists()


def test_a_view_over_files_is_refused_when_the_backup_is_made(box: Box) -> None:
    (box.root / "x.csv").write_text("a\n1\n")
    box.execute(f"create view staging.c as select * from read_csv('{box.root / 'x.csv'}')")
    with pytest.raises(WarehouseError, match=r"view staging\.c calls read_csv"):
        box.back_up()


def test_views_of_every_form_come_back(box: Box) -> None:
    box.execute(
        'create view staging."odd AS name"("a AS b", c) as select id, note from warehouse.raw_shop.orders',
        "create view staging.p as from (pivot raw_shop.orders on note in ('note 1') using count(*) group by id)",
        "create view staging.w as with recursive r as (select 1 a union all select a + 1 from r where a < 3) from r",
        "create view staging.u as select * from range(3) t(n), unnest([1, 2]) u(x)",
        "create view staging.l as select [x + 1 for x in [1, 2]] as l, 'a; b' as \"; drop\"",
        "create table raw_shop.c (id int primary key, a int default (1 + 1) check (a > 0), g int as (id + 1), unique (a))",
        "insert into raw_shop.c (id, a) values (1, 2)",
    )
    box.back_up()
    box.restore()
    restored = box.root / "restored.duckdb"
    for name in ('staging."odd AS name"', "staging.p", "staging.w", "staging.u", "staging.l", "raw_shop.c"):
        ask = f"select * from {name} order by all"
        assert box.rows(ask, restored) == box.rows(ask), name


def test_tables_that_name_one_another_are_filled_parents_first(box: Box) -> None:
    box.execute(
        "create table raw_shop.z_parent (id int primary key, up int references raw_shop.z_parent (id))",
        "create table raw_shop.m_child (id int primary key, parent int references raw_shop.z_parent (id))",
        "create table raw_shop.a_grandchild (child int references raw_shop.m_child (id))",
        "insert into raw_shop.z_parent values (1, null)",
        "insert into raw_shop.m_child values (2, 1)",
        "insert into raw_shop.a_grandchild values (2)",
    )
    names = [table.label for table in box.back_up().manifest.tables]
    assert (
        names.index("raw_shop.z_parent")
        < names.index("raw_shop.m_child")
        < names.index("raw_shop.a_grandchild")
    )
    box.restore()
    assert box.rows("select child from raw_shop.a_grandchild", box.root / "restored.duckdb") == [(2,)]


def _forge(box: Box, manifest: BackupManifest) -> None:
    path = box.root / "primary" / MANIFESTS / f"{manifest.id}.json"
    path.write_bytes(manifest.sealed().to_json())


def _refused(box: Box, out: Path, what: str) -> None:
    """The drill, which nobody looks at while it runs, says so and keeps nothing."""
    report = drill(box.archive(), "latest", config(box.root / "drill"), box.root)
    assert report.mismatches, what
    assert not out.exists(), what
