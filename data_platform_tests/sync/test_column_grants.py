"""Tables of which this user may read some columns only, and tables of which the catalog wants some only."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import psycopg
import pytest

from data_platform.errors import CatalogError, SourceError
from data_platform.sources.postgres import together
from data_platform.sync import check_sources, probe
from data_platform.sync.sources import discover
from data_platform_tests.conftest import Role
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

ACCOUNT = """
create table account (id int primary key, plan text, card_token text);
insert into account values (1, 'pro', 'x'), (2, 'free', 'y');
create table remarks (id int primary key, label text);
insert into remarks values (1, 'a');
"""
ONLY = {"account": {"key": "id", "only": ["id", "plan"], "strategy": "replace"}, "remarks": {"key": "id"}}


@pytest.fixture
def granted(project: Project, reader: Role) -> Project:
    """As the user who may read ``account (id, plan)`` and all of ``remarks``."""
    project.execute(
        ACCOUNT,
        f"grant select (id, plan) on account to {reader.name}",
        f"grant select on remarks to {reader.name}",
    )
    return Project(project.root, reader.url)


def columns(project: Project, table: str) -> list[str]:
    found = project.rows(f"select column_name from (describe raw_shop.{table})")
    return [name for (name,) in found if not name.startswith("_")]


def test_what_discover_offers_can_be_synced(granted: Project) -> None:
    text = discover({"URL": granted.url}, source="shop", url_env="URL")
    assert "only: [id, plan]  # this user may read these columns" in text and "card_token" not in text
    granted.catalog({})
    (granted.root / "catalog" / "sources" / "shop.yaml").write_text(
        text.replace("url_env: URL", "url_env: SHOP_URL")
    )
    assert check_sources(granted.platform()).mistakes == []
    assert {n: r.rows for n, r in granted.good().items()} == {"account": 2, "remarks": 1}
    assert columns(granted, "account") == ["id", "plan"]


def test_only_what_is_granted_is_read_and_compared(project: Project, granted: Project, reader: Role) -> None:
    granted.catalog(ONLY).good(audit=True)
    project.execute("update account set plan = 'max' where id = 2", "delete from account where id = 1")
    report = granted.good(audit=True)["account"]
    assert report.completeness is not None and report.completeness.passed
    assert granted.rows("select id, plan from raw_shop.account") == [(2, "max")]
    # what is changed beside it is nobody's business here
    project.execute("alter table account add extra int default 5, alter card_token type varchar(9)")
    granted.good(verify=True)
    assert columns(granted, "account") == ["id", "plan"]
    # what the grants leave open is told, and harms nothing
    project.execute(f"revoke select (plan) on account from {reader.name}")
    error = granted.sync()["account"].error
    assert isinstance(error, SourceError) and "may not SELECT the column(s) plan" in str(error)
    assert "name under `only`" in str(error) and "id" in str(error)
    assert any("column(s) plan" in mistake for mistake in check_sources(granted.platform()).mistakes)
    assert granted.rows("select id, plan from raw_shop.account") == [(2, "max")]


def test_row_versions_can_be_granted_too(project: Project, granted: Project, reader: Role) -> None:
    project.execute(f"grant select (xmin, ctid, tableoid) on account to {reader.name}")
    granted.catalog({"account": {"key": "id", "only": ["id", "plan"]}}).good()
    assert not any(p.moved for p in probe(granted.platform(), "shop"))
    project.execute("insert into account values (3, 'new', 'z')")
    report = granted.good()["account"]
    assert (report.operation, report.rows) == ("changes", 1)
    assert granted.difference("account", "id, plan") == ([], [])


def test_a_table_that_is_emptied_under_the_snapshot_is_not_read_as_empty(
    project: Project, granted: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lock can be taken before the snapshot where columns alone are granted."""
    granted.catalog(ONLY).good()
    describe = together.read_relations

    def describe_after(connection: psycopg.Connection, wanted: Sequence[tuple[str, str]]) -> object:
        if ("public", "account") in wanted:
            emptying = threading.Thread(target=project.execute, args=("truncate account",))
            emptying.start()
            emptying.join()
        return describe(connection, wanted)

    monkeypatch.setattr(together, "read_relations", describe_after)
    error = granted.sync()["account"].error
    assert error is not None and error.retryable and "was emptied or rewritten" in str(error)
    assert granted.rows("select count(*) from raw_shop.account") == [(2,)]
    monkeypatch.undo()
    assert granted.good()["account"].rows == 0


def test_the_catalog_may_leave_columns_out_and_take_them_in_again(project: Project) -> None:
    """With every grant: nothing of the others is asked for, typed or landed."""
    project.execute(ACCOUNT, "alter table account add odd int4range[], add contact_email text")
    project.catalog({"account": {"key": "id", "only": ["id", "plan"]}}).good(audit=True)
    assert columns(project, "account") == ["id", "plan"]
    project.execute("update account set card_token = 'z'")
    project.good(verify=True)
    project.catalog(
        {"account": {"key": "id", "only": ["id", "plan", "card_token"], "personal": {"card_token": "keep"}}}
    )
    project.good(verify=True)  # the rows that were read before hold something in it
    assert project.rows("select card_token from raw_shop.account") == [("z",), ("z",)]
    project.catalog({"account": {"key": "id", "only": ["id", "plan"]}})
    report = project.good(verify=True)["account"]
    assert report.operation == "refresh" and "now omits the column card_token" in " ".join(report.notes)
    assert columns(project, "account") == ["id", "plan"]
    assert project.good()["account"].manifest is None
    project.execute("alter table account rename plan to tariff")
    error = str(project.sync()["account"].error)
    assert "no column plan (in `only`; it is called tariff now)" in error


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"key": "nr"}, "key"),
        ({"cursor": "changed"}, "cursor"),
        ({"partition": "made"}, "partition"),
        ({"personal": {"card": "redact"}}, "personal.card"),
        ({"as": {"odd": "text"}}, "as.odd"),
        ({"rules": ["price >= 0"]}, "rules"),
        ({"newest_data": {"column": "made", "max_age_hours": 3}}, "newest_data.column"),
    ],
)
def test_what_is_left_out_cannot_be_named(project: Project, block: dict[str, object], path: str) -> None:
    project.catalog({"t": {"key": "id", "only": ["id"], **block}})
    with pytest.raises(CatalogError) as raised:
        project.platform()
    (mistake,) = raised.value.mistakes
    assert f"tables.t.{path}: names" in mistake and "because `only` leaves it out" in mistake
