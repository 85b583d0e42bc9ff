"""Views read by their cursor: a strange value of it does not end the reading."""

from __future__ import annotations

import pytest

from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_an_infinite_cursor_hides_no_later_row(project: Project, kind: str) -> None:
    project.execute(
        f"create table t (id int primary key, updated_at {kind})",
        "create view recent as select * from t",
        "insert into t values (1, '2026-01-01'), (2, 'infinity'), (3, null)",
    )
    project.catalog({"recent": {"key": "id", "cursor": "updated_at"}}).good()
    project.execute("insert into t values (4, '2026-01-02')")
    project.good()
    assert project.rows("select id from raw_shop.recent order by id") == [(1,), (2,), (3,), (4,)]
