"""Rules that a real PostgreSQL evaluates about its own rows: what they say, what they keep, what never leaves it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
import pytest
import sqlglot

from data_platform.catalog import load_catalog
from data_platform.cli.app import run
from data_platform.errors import CatalogError
from data_platform.quality.at_source import AtSource
from data_platform.quality.evaluate import RuledRelation, RuleResult, evaluate_relation
from data_platform.quality.evaluated import Evaluated
from data_platform.quality.rules import parse_rule
from data_platform.sources.answering import AnsweredRelation, AnsweredRows, Answering, Asked
from data_platform.sources.kinds import answers_of
from data_platform.sync.opening import opening_of
from data_platform.sync.source_rules import evaluate_at_source, keep_found_at_source
from data_platform.tables import TableId
from data_platform_tests.conftest import Role
from data_platform_tests.contracts import test_warehouse_rules as contract
from data_platform_tests.sync.conftest import HASH_KEY, Project

pytestmark = pytest.mark.slow
TYPED = (
    "id bigint primary key, t text, n numeric(12,3), d double precision, b boolean, day date, at timestamptz"
)
ID = TableId("shop", "orders")


class Counted:
    """Asks as it is, and remembers the statements."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.dialect, self.statements = asked, asked.dialect, list[str]()

    def describe(self, schema: str, name: str) -> Sequence[AnsweredRelation]:
        return self.asked.describe(schema, name)

    def query(self, sql: str) -> AnsweredRows:
        self.statements.append(sql)
        return self.asked.query(sql)


def answer(project: Project, act: Callable[[Counted], Any]) -> Any:
    """What ``act`` makes of the table ``orders``, asked at the source."""
    platform = project.platform()
    source = platform.catalog.source("shop")
    answers = answers_of("postgres")
    assert answers is not None
    with answers.opened(opening_of(platform, source, [source.table("orders")])) as answering:
        one: Answering = answering
        (found,) = one.ask([source.table("orders")], lambda _, asked: act(Counted(asked))).values()
    if isinstance(found, Exception):
        raise found
    return found


def fill(project: Project, rows: Sequence[Sequence[Any]]) -> None:
    project.execute(f"create table orders ({TYPED})")
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.cursor().executemany("insert into orders values (%s, %s, %s, %s, %s, %s, %s)", rows)
    project.catalog({"orders": {"key": "id", "strategy": "replace"}})


@pytest.mark.parametrize("wanted", [contract.FAILING, contract.PATTERNS], ids=["rules", "patterns"])
def test_each_rule_says_of_each_value_what_it_says_in_a_warehouse(
    project: Project, wanted: Mapping[str, set[int]]
) -> None:
    fill(project, contract.ROWS)
    texts = list(wanted)

    def act(asked: Counted) -> dict[str, set[int]]:
        conditions = [contract.condition(parse_rule(text), asked.dialect) for text in texts]
        listed = ", ".join(f"({one}) AS c{number}" for number, one in enumerate(conditions))
        statement = f'SELECT "id", {listed} FROM "public"."orders"'
        sqlglot.parse_one(statement, dialect="postgres")
        rows = asked.query(statement).rows
        assert all(value is not None for row in rows for value in row), "a condition is never NULL"
        return {text: {row[0] for row in rows if not row[1 + number]} for number, text in enumerate(texts)}

    assert answer(project, act) == wanted


def test_rules_over_several_rows_find_the_same_as_in_a_warehouse(project: Project) -> None:
    fill(project, contract.SEVERAL)
    wanted = [
        (text, rows, failing)
        for text, rows, failing in (
            (json.loads(json.dumps(text).replace("raw_shop.", "public.")), rows, failing)
            for text, rows, failing in contract.EXPECTED + contract.DATES
        )
        if "row_count_change" not in str(text)
    ]
    rules = tuple(parse_rule(text) for text, _, _ in wanted)
    at_source = AtSource(
        "source_shop.orders", "public.orders", frozenset(), relations={"orders": ("public", "orders")}
    )
    table = RuledRelation("public", "orders", ("id",), rules, {}, "at", "Europe/Berlin", source=at_source)

    def act(asked: Counted) -> tuple[list[RuleResult], list[str]]:
        now = asked.dialect.instant("2026-02-11T00:00:00+00:00")
        return evaluate_relation(asked, table, now_sql=now), asked.statements

    results, statements = answer(project, act)
    assert [one.problem for one in results] == [None] * len(wanted)
    assert [(one.rule.text, one.rows, one.failing) for one in results] == [
        (rule.text, rows, failing) for rule, (_, rows, failing) in zip(rules, wanted, strict=True)
    ]
    shown = sum(bool(one.sample) for one in results)
    assert len(statements) == 2 + shown + sum(bool(one.days) for one in results)
    found = {one.rule.text: one.days for one in results}
    assert {text: found[text] for text in contract.BY_DAY} == contract.BY_DAY
    for statement in statements:
        sqlglot.parse_one(statement, dialect="postgres")


USERS = """
create table users (user_id int primary key, email text, salary numeric, country text);
insert into users values (1, 'ada@example.org', 100, 'DE'), (2, 'no address', 90000, 'DE'), (3, 'grace', 50, null),
    (4, 'ada@example.org', 70, 'FR');
"""
SECRETS = ("ada", "no address", "grace", "90000")
BLOCK: dict[str, Any] = {
    "key": "user_id",
    "strategy": "replace",
    "personal": {"email": "hash", "salary": "redact"},
    "source_rules": [
        'email contains "@"',
        "country not null",
        "unique(email)",
        "max(salary) <= 1000",
        "sum(salary) <= 10 per country",
        'max(salary) equals query "SELECT 5"',
        {"query": "SELECT email FROM {table} WHERE salary > 1000", "name": "rich"},
        "row_count() = 4",
    ],
}


def evaluated(project: Project) -> dict[str, Evaluated]:
    platform = project.platform()
    source = platform.catalog.source("shop")
    found = evaluate_at_source(platform, source, list(source.tables.values()))
    return {id_.table: one for id_, one in keep_found_at_source(platform, source, found).items()}


def test_clear_values_of_treated_columns_never_leave_the_source(project: Project) -> None:
    project.execute(USERS)
    project.catalog({"users": BLOCK}).good()
    found = evaluated(project)["users"]
    assert found.not_kept is None
    assert {one.rule.name: (one.problem, one.failing) for one in found.rules} == {
        "email_contains_at": (None, 2),
        "country_not_null": (None, 1),
        "unique_email": (None, 2),
        "max_salary_lte_1000": (None, 1),
        "sum_salary_lte_10_per_country": (None, 3),
        "max_salary_equals_query_select_5_64e44c": (None, 1),
        "rich": (None, 1),
        "row_count_eq_4": (None, 0),
    }
    assert {one.rule.name: one.value for one in found.rules if one.value is not None} == {
        "row_count_eq_4": 4.0
    }
    kept = project.rows(
        "select rule, row_key, row_values from quality.failures where table_name = 'source_shop.users' order by all"
    )
    assert ("country_not_null", '{"user_id": 3}', '{"country": null}') in kept
    assert ("email_contains_at", '{"user_id": 2}', '{"email": null}') in kept
    assert len(kept) == 1 + 2 + 2 + 3
    told = f"{kept} {found}"
    assert not [secret for secret in SECRETS if secret in told]
    project.execute("update users set country = 'DE'")
    evaluated(project)
    rules = {rule for (rule,) in project.rows("select rule from quality.failures")}
    assert "country_not_null" not in rules and "unique_email" in rules


def test_what_cannot_be_read_is_named_and_is_no_pass(project: Project, reader: Role) -> None:
    project.execute(
        USERS,
        f"grant select (user_id, email, xmin, ctid, tableoid) on users to {reader.name}",
        "create table gone (id int primary key)",
        f"grant select on gone to {reader.name}",
    )
    rules = ["country not null", "user_id >= 1", {"sql": "user_id / 0 > 1", "name": "divides"}]
    granted = Project(project.root, reader.url).catalog(
        {
            "users": {"key": "user_id", "personal": {"email": "hash"}, "source_rules": rules},
            "gone": {"key": "id", "source_rules": ["id >= 1"]},
        }
    )
    found = evaluated(granted)["users"].rules
    assert [one.passed for one in found] == [False, True, False]
    assert (
        found[0].problem is not None and "may not read the column country of public.users" in found[0].problem
    )
    assert found[2].problem is not None and "divides by zero" in found[2].problem
    project.execute("alter table users drop column email", "drop table gone")
    project.execute("alter table users rename column country to land")
    both = evaluated(granted)
    vanished = both["users"].rules
    assert vanished[0].problem is not None and "has no column country at the source" in vanished[0].problem
    assert vanished[1].passed
    (missing,) = both["gone"].rules
    assert not missing.passed and missing.problem is not None and "public.gone" in missing.problem


def test_a_scan_ends_after_the_source_s_timeout(project: Project) -> None:
    project.execute(
        "create table plain (id int primary key); insert into plain select generate_series(1, 3)",
        "create view orders as select id, pg_sleep(2)::text as slow from plain",
    )
    rules = ["slow not null", "id >= 1"]
    project.catalog(
        {
            "orders": {"key": "id", "strategy": "replace", "source_rules": rules},
            "plain": {"key": "id", "source_rules": ["id >= 1"]},
        },
        connection={"statement_timeout_seconds": 1},
    )
    found = evaluated(project)
    assert all(not one.passed and "took longer than" in str(one.problem) for one in found["orders"].rules)
    assert [one.passed for one in found["plain"].rules] == [True], "the other table is asked all the same"


def test_a_locked_table_is_waited_for_as_long_as_the_source_allows(project: Project) -> None:
    project.execute("create table orders (id int primary key)")
    project.catalog({"orders": {"key": "id", "source_rules": ["id >= 1"]}})
    with psycopg.connect(project.url) as other:
        other.execute("lock table orders in access exclusive mode")
        (locked,) = evaluated(project)["orders"].rules
    assert not locked.passed and "lock" in str(locked.problem)
    assert evaluated(project)["orders"].rules[0].passed


def test_nothing_is_written_at_the_source(project: Project) -> None:
    project.execute(
        "create table written (n int)",
        "create function note() returns int language sql as 'insert into written values (1) returning n'",
        "create table plain (id int primary key); insert into plain values (1)",
        "create view orders as select id, note() as n from plain",
    )
    project.catalog({"orders": {"key": "id", "strategy": "replace", "source_rules": ["n = 1"]}})
    (refused,) = evaluated(project)["orders"].rules
    assert not refused.passed and "writes" in str(refused.problem)
    assert project.source_rows("select count(*) from written") == [(0,)]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"rule": "id >= 1", "blocking": True}, "nothing is built from the table at the source"),
        ("row_count_change() <= 10%", "a source has none"),
        ("id references crm/users.id", "this one cannot see"),
        ("id references user.id", "which is no table of this file"),
        ("row_count() >= 1 per day", "has no `partition`"),
        ({"sql": "regexp_extract(id, 'a') = 'b'"}, "only known to work in DuckDB"),
        ('id matches "a{2}?"', "may read in another way"),
    ],
)
def test_what_a_source_cannot_answer_is_refused_with_its_line(project: Project, rule: Any, said: str) -> None:
    with pytest.raises(CatalogError) as refused:
        project.catalog({"orders": {"key": "id", "source_rules": ["id >= 0", rule]}}).platform()
    assert said in str(refused.value) and "tables.orders.source_rules[1]" in str(refused.value)


def test_a_kind_without_sql_refuses_them(project: Project) -> None:
    project.catalog({})
    (project.root / "catalog" / "sources" / "shop.yaml").write_text(
        "source: shop\nkind: stripe\nconnection: {key_env: KEY}\ntables:\n  charges:\n    source_rules:\n"
        "      - id not null\n"
    )
    with pytest.raises(CatalogError, match=r"shop.yaml:\d+.*source_rules.*knows none"):
        load_catalog(project.root)


def test_the_command_line_s_sync_says_what_the_source_found(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.execute(USERS)
    project.catalog({"users": BLOCK})
    monkeypatch.setenv("SHOP_URL", project.url)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", HASH_KEY)
    assert run(["sync", "--root", str(project.root)]) == 0
    told = capsys.readouterr().err
    assert 'shop/users at the source: 2 of 4 rows fail `email contains "@"`' in told
    assert run(["sync", "--json", "--root", str(project.root)]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert [one["passed"] for one in table["source_rules"]] == [False] * 7 + [True]
    assert table["rules"] is None, "nothing was loaded"
