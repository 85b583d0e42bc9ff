"""What a table is made of: every type exact or refused by name, what drifts, what is personal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_platform.errors import (
    PersonalColumnUndeclared,
    SchemaDrift,
    TableMissing,
    UnsupportedType,
    ValueNotKept,
)
from data_platform.privacy.treatments import hash_value
from data_platform_tests.sync.conftest import COLUMNS, HASH_KEY, ORDERS, ORDERS_SQL, Project

pytestmark = pytest.mark.slow

# (PostgreSQL type, values as SQL, the landed column as text in DuckDB SQL, the same text in PostgreSQL SQL)
TYPES = [
    ("bool", ["true", "null"], "x::varchar", "x::text"),
    ("smallint", ["-32768", "32767"], "x::varchar", "x::text"),
    ("bigint", ["9223372036854775807", "-9223372036854775808"], "x::varchar", "x::text"),
    ("real", ["'NaN'", "'-Infinity'", "1.17549435e-38"], "(x::double)::varchar", None),
    ("double precision", ["'NaN'", "'Infinity'", "0.1"], "x::varchar", None),
    ("numeric(38,18)", ["12345678901234567890.123456789012345678", "-0.000000000000000001"], "x::varchar", "x::text"),
    ("numeric(10,2)", ["99999999.99", "0", "-0.01"], "x::varchar", "x::text"),
    ("numeric", ["'NaN'", "1e100", "0.1000000000000000000000000000000000000000001"], "x", "x::text"),
    ("numeric(60,20)", ["1234567890123456789012345678901234567890.12345678901234567890"], "x", "x::text"),
    ("numeric(3,-2)", ["12345"], "x", "x::text"),
    ("text", [r"E'\\N'", "''", "'ünï'", "repeat('x', 1000000)"], "x", "x"),
    ("char(5)", ["'ab'"], "x", "x::text"),
    ("date", ["'infinity'", "'0044-03-15 BC'", "'2024-02-29'"], "replace(x::varchar, ' (BC)', ' BC')", "x::text"),
    ("time", ["'24:00:00'", "'23:59:59.999999'"], "x::varchar", "x::text"),
    ("timetz", ["'12:00:00.5+05:30'"], "x", "x::text"),
    ("timestamp", ["'infinity'", "'0044-03-15 12:00:00 BC'", "'294246-01-01'"], "coalesce(epoch_us(x)::varchar, x::varchar)", None),
    ("timestamptz", ["'2024-02-29 23:59:59.999999+00'"], "epoch_us(x)::varchar",
     "(extract(epoch from x) * 1000000)::bigint::text"),
    ("interval", ["'1 mon 2 days 00:00:00.000001'", "'-1 year'"], "x", "x::text"),
    ("uuid", ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"], "x::varchar", "x::text"),
    ("bytea", [r"'\x00ff'"], "lower(hex(x))", "encode(x, 'hex')"),
    ("json", ["""'{"a" : 1, "a": 2}'"""], "x::varchar", "x::text"),
    ("jsonb", ["""'{"n": 12345678901234567890.12345678901234567890}'"""], "x::varchar", "x::text"),
    ("int[]", ["'{1,null,3}'", "'{}'"], "replace(x::varchar, ' ', '')", "'[' || array_to_string(x, ',', 'NULL') || ']'"),
    ("text[]", ["array['a,b', '\"q\"']"], "array_to_string(x, '|')", "array_to_string(x, '|')"),
    ("numeric[]", ["'{1.10,2}'"], "x", "x::text"),
    ("int[][]", ["'{{1,2},{3,4}}'"], "x", "x::text"),
    ("inet", ["'10.0.0.1/8'"], "x", "x::text"),
    ("money", ["'12.34'"], "x", "x::numeric::text"),
    ("bit(3)", ["'101'"], "x", "x::text"),
    ("int4range", ["'[1,5)'"], "x", "x::text"),
    ("int4multirange", ["'{[1,2),[4,5)}'"], "x", "x::text"),
    ("tsvector", ["'a:1 b:2'"], "x", "x::text"),
    ("point", ["'(1.5,2)'"], "x", "x::text"),
    ("mood", ["'sad'"], "x", "x::text"),
    ("pair", ["row(1, 'a,b')::pair"], "x", "x::text"),
    ("short", ["'abc'"], "x", "x::text"),
    ("positive", ["7"], "x::varchar", "x::text"),
    ("cash", ["0.10", "-99999999.99"], "x::varchar", "x::text"),
    ("oid", ["4294967295"], "x::varchar", "x::text"),
]  # fmt: skip


def test_every_type_lands_exactly(project: Project) -> None:
    project.execute(
        "create type mood as enum ('sad', 'ok')",
        "create type pair as (a int, b text)",
        "create domain short as varchar(5)",
        "create domain positive as int check (value > 0)",
        "create domain cash as numeric(10,2)",
        *(f"create table t{n} (id int primary key, x {kind})" for n, (kind, *_) in enumerate(TYPES)),
        *(
            f"insert into t{n} values ({i}, {value})"
            for n, (_, values, *_) in enumerate(TYPES)
            for i, value in enumerate([*values, "null"])
        ),
    )
    project.catalog({f"t{n}": {"key": "id"} for n in range(len(TYPES))}).good()
    for n, (kind, _, landed, source) in enumerate(TYPES):
        ours = project.rows(f"select id, {landed} from raw_shop.t{n} order by id")
        if source is None:
            theirs = project.source_rows(f"select id, x::text from t{n} order by id")
            assert len(ours) == len(theirs), kind
            assert [v is None for _, v in ours] == [v is None for _, v in theirs], kind
        else:
            assert ours == project.source_rows(f"select id, {source} from t{n} order by id"), kind
    floats = dict(project.rows("select id, x from raw_shop.t3"))
    assert floats[2] == pytest.approx(1.17549435e-38)
    assert project.rows("select x = 'infinity'::timestamp from raw_shop.t15 where id = 0") == [(True,)]


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("numeric(10,2)", "'NaN'", ValueNotKept),
        ("timestamp", "'294276-12-31'", ValueNotKept),
        ("int[]", "'{{1,2},{3,4}}'", UnsupportedType),
    ],
)
def test_a_value_that_cannot_be_kept_stops_its_table_and_text_is_the_way_out(
    project: Project, column: str, value: str, error: type[Exception]
) -> None:
    project.execute(
        f"create table odd (id int primary key, x {column})",
        f"insert into odd values (1, {value})",
        "create table fine (id int primary key)",
        "insert into fine values (1)",
    )
    project.catalog({"odd": {"key": "id"}, "fine": {"key": "id"}})
    reports = project.sync()
    assert isinstance(reports["odd"].error, error)
    assert "as: {" in str(reports["odd"].error)
    assert reports["fine"].error is None
    project.catalog({"odd": {"key": "id", "as": {"x": "text"}}}).good()
    assert project.rows("select x from raw_shop.odd") == project.source_rows("select x::text from odd")


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
