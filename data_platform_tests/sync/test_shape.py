"""What a table is made of: names and numbers of columns, what drifts, what is personal.

What becomes of each type is ``test_every_type.py``'s.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data_platform.errors import (
    PersonalColumnUndeclared,
    SchemaDrift,
    TableMissing,
    UnsupportedType,
    WarehouseError,
)
from data_platform.privacy.treatments import hash_value
from data_platform.sources.postgres.types import quote
from data_platform.tables import TableId
from data_platform_tests.sync.conftest import COLUMNS, HASH_KEY, ORDERS, ORDERS_SQL, Project
from data_platform_tests.sync.type_cases import NAMES

pytestmark = pytest.mark.slow


def test_any_name_of_a_column_lands_as_it_is(project: Project) -> None:
    columns = ", ".join(f"{quote(name)} int" for name in NAMES)
    names, values = ", ".join(map(quote, NAMES)), ", ".join(str(n) for n in range(len(NAMES)))
    project.execute(
        f"create table t (line int primary key, day_of date, {columns})",
        f"insert into t (line, day_of, {names}) select n, date '2026-01-01' + n % 3, {values} from generate_series(1, 9) n",
    )
    project.catalog(
        {"t": {"key": "line", "partition": "day_of", "personal": dict.fromkeys(NAMES, "keep")}}
    ).good()
    grown = ", ".join(f"{quote(name)} + line" for name in NAMES)

    def same() -> bool:
        landed = project.rows(f"select line, day_of, {names} from raw_shop.t order by line")
        return landed == project.source_rows(f"select line, day_of, {names} from t order by line")

    assert same()
    project.execute(f"update t set ({names}) = (select {grown}) where line < 5")
    assert project.good()["t"].operation == "changes"
    assert same()
    assert project.slices(["t"], "2026-01-02")["t"].error is None
    assert same()
    completeness = project.good(verify=True)["t"].completeness
    assert completeness is not None and completeness.passed


def test_any_name_of_a_schema_and_table_is_read(project: Project) -> None:
    relations = [
        (schema, table)
        for schema in ("public", 'a "quoted". schema')
        for table in ("Capital", "dot.ted", "quo\"te's", "table", "日本 🎉", "new\nline", "n" * 63, "100%")
    ]
    for n, (schema, table) in enumerate(relations):
        name = f"{quote(schema)}.{quote(table)}"
        project.execute(
            f"create schema if not exists {quote(schema)}",
            f"create table {name} (id int primary key, x int)",
            f"insert into {name} values (1, {n})",
        )
    blocks = {
        f"t{n}": {"key": "id", "relation": f"{quote(schema)}.{quote(table)}"}
        for n, (schema, table) in enumerate(relations)
    }
    project.catalog(blocks).good()
    for n in range(len(relations)):
        assert project.rows(f"select id, x from raw_shop.t{n}") == [(1, n)]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["_batch_id"], "_batch_id"),
        (["_Loaded_AT"], "_Loaded_AT"),
        (["_SOURCE_XMIN"], "_SOURCE_XMIN"),
        (["_RULE_x"], "_RULE_x"),
        (["rowid"], "rowid"),
        (["RowID"], "RowID"),
        (["a", "A"], "a (differs from A in case only)"),
        (["É", "é"], "é (differs from É in case only)"),
    ],
)
def test_a_name_the_warehouse_cannot_hold_stops_its_table_alone(
    project: Project, names: list[str], says: str
) -> None:
    project.execute(
        f"create table t (id int primary key, {', '.join(f'{quote(name)} int' for name in names)})",
        "insert into t values (1, 2)",
        f"create view renamed as select id, {quote(names[0])} as other from t",
        "create table fine (id int primary key)",
    )
    project.catalog({"t": {"key": "id"}, "renamed": {"strategy": "replace"}, "fine": {"key": "id"}})
    reports = project.sync()
    error = reports["t"].error
    assert isinstance(error, UnsupportedType)
    assert f"cannot hold: {says}." in str(error) and "read a view" in str(error)
    assert project.ledger_sequences("t") == []
    assert reports["fine"].error is None
    assert project.rows("select id, other from raw_shop.renamed") == [(1, 2)]


def test_tables_of_no_columns_and_of_dropped_ones(project: Project) -> None:
    project.execute(
        "create table none ()",
        "insert into none select from generate_series(1, 5)",
        "create table dropped (a int, id int primary key, b text, c int, d text)",
        "insert into dropped values (1, 1, 'x', 3, 'y'), (1, 2, 'x', 4, 'z')",
        "alter table dropped drop column a, drop column b, drop column d",
        "insert into dropped values (3, 4)",
        "alter table dropped add column a text",
        "update dropped set a = 'new' where id = 3",
    )
    project.catalog({"none": {"strategy": "replace"}, "dropped": {"key": "id"}})
    for update in ("select 1", "update dropped set c = c + 1, a = 'newer'"):
        project.execute(update)
        project.good()
        assert project.rows("select count(*) from raw_shop.none") == [(5,)]
        landed = "select id, c, a from {}dropped order by id"
        assert project.rows(landed.format("raw_shop.")) == project.source_rows(landed.format(""))


def test_a_table_of_the_most_columns_there_can_be(project: Project) -> None:
    """A merge takes DuckDB half a megabyte a column, more than its limit here allows by default."""
    wide = [f"c{n}" for n in range(1599)]
    project.execute(
        f"create table t (id smallint primary key, {', '.join(f'{name} bool' for name in wide)})",
        f"insert into t values (1{', true, null, false' * 533})",
        "insert into t (id) values (2)",
    )
    project.catalog({"t": {"key": "id"}})

    def same() -> bool:
        columns = f"id, {', '.join(wide)}"
        landed = project.rows(f"select {columns} from raw_shop.t order by id")
        return landed == project.source_rows(f"select {columns} from t order by id")

    assert project.good()["t"].operation == "refresh"
    assert same()
    before = project.rows("select * from raw_shop.t order by id")
    project.execute(f"update t set ({', '.join(wide)}) = (select {', '.join(reversed(wide))})")
    error = project.sync()["t"].error
    assert isinstance(error, WarehouseError) and "Raise `memory_limit`" in str(error)
    assert project.rows("select * from raw_shop.t order by id") == before
    platform = project.root / "catalog" / "platform.yaml"
    document = yaml.safe_load(platform.read_text())
    document["environments"]["local"]["warehouse"]["memory_limit"] = "1200MB"
    platform.write_text(yaml.safe_dump(document))
    project.good()
    assert same()


@pytest.mark.needs_postgres(18)
def test_columns_that_the_server_fills_land_with_what_it_filled_in(project: Project) -> None:
    project.execute(
        "create table t (id int generated always as identity primary key, a smallserial, b serial, c bigserial,"
        " d int generated by default as identity, x numeric(6,2), stored numeric generated always as (x * 2) stored,"
        " virtual numeric generated always as (x * 3) virtual)",
        "insert into t (x) values (1.10), (null), (-3.30)",
    )
    project.catalog({"t": {"key": "id"}})
    everything = "select id, a, b, c, d, x, stored::text, virtual::text from {}t order by id"
    for update in ("select 1", "update t set x = x + 1 where id <> 2"):
        project.execute(update)
        project.good()
        assert project.rows(everything.format("raw_shop.")) == project.source_rows(everything.format(""))


def test_a_new_column_flows(orders: Project) -> None:
    orders.execute(
        "alter table orders add column coupon text", "update orders set coupon = 'X' where order_id = 1"
    )
    report = orders.good()["orders"]
    assert report.operation == "changes"
    assert "new column coupon" in " ".join(report.notes)
    missing, extra = orders.difference("orders", COLUMNS + ", coupon")
    assert (missing, extra) == ([], [])


def test_a_new_column_with_a_default_is_read_for_every_row(orders: Project) -> None:
    orders.execute("alter table orders add column channel text default 'web'")
    orders.good()
    orders.execute("update orders set status = 'x' where order_id = 1")
    orders.good()
    missing, extra = orders.difference("orders", COLUMNS + ", channel")
    assert (missing, extra) == ([], [])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("alter table orders drop column amount", "amount is gone"),
        ("alter table orders rename column status to state", "status is gone"),
        ("alter table orders alter column amount type bigint", "amount was DECIMAL(10,2)"),
    ],
)
def test_other_drift_fails_the_table_alone_until_it_is_refreshed(
    project: Project, change: str, named: str
) -> None:
    project.execute(ORDERS_SQL, "create table other (id int primary key)", "insert into other values (1)")
    project.catalog({"orders": ORDERS, "other": {"key": "id"}}).good()
    project.execute(change, "insert into other values (2)")
    reports = project.sync()
    assert isinstance(reports["orders"].error, SchemaDrift)
    assert named in str(reports["orders"].error)
    assert reports["other"].rows == 1
    assert project.rows("select count(*) from raw_shop.orders") == [(400,)]
    project.good(refresh=["orders"])
    assert project.rows("select count(*) from raw_shop.orders") == [(400,)]


def test_a_missing_table_names_its_neighbour(project: Project) -> None:
    project.execute("create table orders (id int primary key)")
    project.catalog({"order": {"key": "id"}})
    error = project.sync()["order"].error
    assert isinstance(error, TableMissing)
    assert "Did you mean public.orders?" in str(error)


def test_a_missing_column_is_named(project: Project) -> None:
    project.execute("create table orders (id int primary key)")
    project.catalog({"orders": {"key": "order_id"}})
    assert "no column order_id (in `key`)" in str(project.sync()["orders"].error)


PERSONAL_SQL = """
create table users (user_id int primary key, email text, phone text, ssn text, age int);
insert into users values (1, ' Ann@Example.com ', '+44 20 7946 0958', '123-45-6789', 40),
    (2, 'no-at-sign.example', '12', null, 999), (3, null, null, '987-65-4321', null);
"""
PERSONAL = {
    "key": "user_id",
    "personal": {"email": "hash", "phone": "mask", "ssn": "redact", "age": "redact"},
    "rules": ['email contains "@"', "age between 0 and 150"],
}


def test_personal_columns_never_leave_the_source_in_clear(project: Project) -> None:
    project.execute(PERSONAL_SQL)
    project.catalog({"users": PERSONAL})
    project.good()
    rows = project.rows("select user_id, email, phone, ssn from raw_shop.users order by user_id")
    assert rows[0][1] == hash_value("email", " Ann@Example.com ", HASH_KEY.encode())
    assert rows[0][1] == hash_value("email", "ann@example.com", HASH_KEY.encode())
    assert rows[0][2].startswith("+44") and rows[0][2].endswith("58") and "7946" not in rows[0][2]
    assert "12" not in rows[1][2] or rows[1][2] == "***"
    assert [r[3] for r in rows] == ["[redacted]", None, "[redacted]"]
    assert rows[2][1:3] == (None, None)
    clear = [b"Ann@", b"ann@example", b"7946", b"123-45", b"987-65", HASH_KEY.encode()]
    for path in project.root.rglob("*"):
        if path.is_file() and "catalog" not in path.parts:
            data = path.read_bytes()
            assert not [c for c in clear if c in data], path


def test_rules_on_personal_columns_land_as_booleans(project: Project) -> None:
    project.execute(PERSONAL_SQL)
    project.catalog({"users": PERSONAL})
    manifest = project.good()["users"].manifest
    assert manifest is not None
    rules = sorted(c.name for c in manifest.columns if c.name.startswith("_rule_"))
    assert len(rules) == 2
    columns = ", ".join(f'"{r}"' for r in rules)
    landed = {row[0]: row[1:] for row in project.rows(f"select user_id, {columns} from raw_shop.users")}
    assert landed[1] == (True, True)
    assert landed[2] == (False, False)


def test_an_undeclared_personal_column_stops_its_table(project: Project) -> None:
    project.execute(PERSONAL_SQL)
    project.catalog({"users": {"key": "user_id", "personal": {"phone": "mask", "ssn": "redact"}}})
    error = project.sync()["users"].error
    assert isinstance(error, PersonalColumnUndeclared)
    assert "email (looks like an email address)" in str(error)
    assert not list((project.root / "landing").rglob("*.parquet"))


def test_what_is_declared_not_personal_lands_as_what_is_kept_does(project: Project) -> None:
    """And calling it so later reads nothing again."""
    project.execute(
        "create table refunds (reason text primary key, born_on timestamptz, phone bigint, profile jsonb)",
        "insert into refunds select 'r' || n, timestamptz '2026-01-01' + n * interval '1 hour', n,"
        """ '{"address": {"city": "B"},  "n": 1e2}' from generate_series(1, 40) n""",
    )
    names = ("reason", "born_on", "phone", "profile.address.city")

    def declared(word: str) -> dict[str, object]:
        said = dict.fromkeys(names, word)
        return {
            "key": "reason",
            "partition": "born_on",
            "cursor": "born_on",
            "personal": said,
            "rules": ["sum(phone) > 0"],
        }

    project.catalog({"refunds": declared("keep")}).good()
    landed = project.platform().ledger.since(TableId("shop", "refunds"), 0)[-1].columns
    rows = project.rows("select * exclude (_batch_id, _loaded_at) from raw_shop.refunds")
    project.catalog({"refunds": declared("not_personal")})
    assert project.good()["refunds"].operation != "refresh"
    project.execute("update refunds set phone = phone + 1 where phone = 7")
    result = project.good(verify=True)["refunds"]
    assert result.completeness is not None and result.completeness.passed
    assert project.platform().ledger.since(TableId("shop", "refunds"), 0)[-1].columns == landed
    now = project.rows("select * exclude (_batch_id, _loaded_at) from raw_shop.refunds")
    assert len(now) == 40 and len(set(now) - set(rows)) == 1


def test_a_changed_treatment_reads_the_table_anew(project: Project) -> None:
    project.execute(PERSONAL_SQL)
    project.catalog({"users": PERSONAL}).good()
    changed = {**PERSONAL, "personal": {**PERSONAL["personal"], "email": "redact"}}
    report = project.catalog({"users": changed}).good()["users"]
    assert report.operation == "refresh"
    assert project.rows("select distinct email from raw_shop.users where email is not null") == [
        ("[redacted]",)
    ]


def test_manifests_are_readable_json(orders: Project, tmp_path: Path) -> None:
    manifests = sorted((tmp_path / "landing" / "shop" / "orders" / "manifests").rglob("*.json"))
    document = json.loads(manifests[0].read_bytes())
    assert document["table"] == "shop/orders"
    assert document["rows"] == 400
