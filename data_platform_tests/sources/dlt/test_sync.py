"""dlt's own resources through whole syncs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml

from data_platform.landing.ledger import Ledger
from data_platform.sources import kinds
from data_platform.sources.records import fetch
from data_platform_tests.sources.dlt.conftest import MODULE, Orders, Project
from data_platform_tests.sources.http.server import serving
from data_platform_tests.sources.rest.test_discover import PRIVACY


class Killed(BaseException):
    """As if the process had ended there."""


def kept(project: Project, table: str) -> dict[str, Any]:
    position = project.batches(table)[-1].position_after
    state: dict[str, Any] = position.value["state"]["dlt"]
    return state


def test_an_incremental_resource_lands_what_changed_and_ties_are_not_lost(project: Project) -> None:
    orders = Orders({n: n for n in range(1, 8)})
    with serving(orders.answer) as server:
        project.shop(server.url, {"orders": {"key": "id"}})
        report = project.good()["orders"]
        assert (
            report.rows == 7 and report.position_after is not None and report.position_after.text == "up to 7"
        )
        assert project.good()["orders"].manifest is None, "the row at the cursor comes again, and is no news"
        orders.records[8] = 7  # a tie
        assert project.good()["orders"].rows == 1
        orders.records[3] = 9
        assert project.good()["orders"].rows == 1
    assert project.rows("SELECT id, changed FROM raw_shop.orders ORDER BY id") == [
        (1, 1), (2, 2), (3, 9), (4, 4), (5, 5), (6, 6), (7, 7), (8, 7),
    ]  # fmt: skip
    assert [a.position_after for a in project.batches("orders")][:-1] == [
        b.position_before for b in project.batches("orders")
    ][1:]


def test_a_cut_read_goes_on_where_the_rows_come_in_order_and_anew_where_they_do_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "STEP_RECORDS", 3)
    orders = Orders({n: n for n in range(1, 10)}, broken_at=2)
    with serving(orders.answer) as server:
        project.shop(server.url, {"orders": {"key": "id"}, "unordered": {"key": "id"}})
        for report in project.sync().values():
            assert "HTTP 500" in str(report.error) and "Try again" in str(report.error)
            assert "s3cr3t" not in str(report.error)
        assert [b.rows for b in project.batches("orders")] == [3, 3]
        assert kept(project, "orders")["resources"]["orders"]["incremental"]["changed"]["last_value"] == 6
        assert kept(project, "unordered") == {}, "an order that is not known covers nothing before the end"
        orders.broken_at = None
        orders.asked.clear()
        project.good()
    assert sorted(orders.asked) == ["0, page 0", "0, page 1", "0, page 2", "6, page 0", "6, page 1"]
    assert [b.rows for b in project.batches("orders")] == [3, 3, 3], "no row was read twice"
    assert project.rows("SELECT count(*), sum(changed) FROM raw_shop.unordered") == [(9, 45)]
    assert kept(project, "unordered")["resources"]["unordered"]["incremental"]["changed"]["last_value"] == 9


def test_a_resource_that_gives_the_newest_first_loses_nothing_when_it_is_killed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "STEP_RECORDS", 3)
    commit = Ledger.commit

    def killed(self: Ledger, manifest: Any) -> Any:
        if manifest.sequence == 2:
            raise Killed
        return commit(self, manifest)

    orders = Orders({n: n for n in range(1, 10)}, reverse=True)
    with serving(orders.answer) as server:
        project.shop(server.url, {"unordered": {"key": "id"}})
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "commit", killed)
            with pytest.raises(Killed):
                project.sync()
        project.good()
    assert project.rows("SELECT count(*), sum(changed) FROM raw_shop.unordered") == [(9, 45)]


def test_a_state_of_the_resources_own_is_kept_where_the_catalog_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "STEP_RECORDS", 3)
    orders = Orders({n: n for n in range(1, 8)}, broken_at=2)
    with serving(orders.answer) as server:
        project.shop(server.url, {"by_token": {"key": "id", "state": "page"}})
        assert "HTTP 500" in project.failure("by_token")
        assert kept(project, "by_token")["resources"]["by_token"] == {"since": 7}
        orders.broken_at = None
        assert project.good()["by_token"].rows == 1
        orders.records[8] = 8
        assert project.good()["by_token"].rows == 1
        project.shop(server.url, {"by_token": {"key": "id"}})
        report = project.good()["by_token"]
    assert report.operation == "refresh" and report.rows == 8
    assert "`state: read`" in " ".join(report.notes)


def test_transformers_threads_and_coroutines_give_all_their_rows(project: Project) -> None:
    orders = Orders({n: n for n in range(1, 8)})
    with serving(orders.answer) as server:
        project.shop(
            server.url,
            {"lines": {"key": "line"}, "parallel": {"key": "id"}, "later": {"strategy": "replace"}},
        ).good()
        assert project.rows('SELECT count(DISTINCT line), sum("order") FROM raw_shop.lines') == [(14, 56)]
        assert project.rows("SELECT count(*) FROM raw_shop.parallel") == [(7,)]
        assert project.rows("SELECT count(*) FROM raw_shop.later") == [(5,)]
        state = kept(project, "lines")["resources"]["orders"]["incremental"]["changed"]
        assert state["last_value"] == 7, "the parent's cursor is the table's"
        orders.records[8] = 8
        assert project.good()["lines"].rows == 2


def test_rows_that_name_their_table_land_in_the_block_that_names_it(project: Project) -> None:
    tables = {
        "a": {"resource": "events", "table": "event_a", "strategy": "replace"},
        "two": {"resource": "marked", "table": "two", "strategy": "replace"},
        "all": {"resource": "events", "strategy": "replace"},
    }
    reports = project.shop("http://127.0.0.1:9", tables).sync()
    assert project.rows("SELECT id FROM raw_shop.a ORDER BY id") == [(0,), (2,), (4,)]
    assert project.rows("SELECT id FROM raw_shop.two ORDER BY id") == [(2,), (3,)]
    assert "event_b were left out" in " ".join(reports["a"].notes)
    assert "`resource: events` and `table: NAME`" in str(reports["all"].error)
    assert "event_a, event_b" in str(reports["all"].error)


def test_values_are_what_the_resource_yielded(project: Project) -> None:
    project.write("typed", {"typed": {"key": "id", "personal": {"raw": "keep", "uid": "keep"}}}).good()
    types = project.types("typed")
    assert types["price"] == "DECIMAL(10,2)" and types["exact"] == "DECIMAL(38,18)"
    assert types["at"] == types["naive"] == "TIMESTAMP WITH TIME ZONE" and types["day"] == "DATE"
    query = 'SELECT price, exact, epoch_us("at"), epoch(naive), day::VARCHAR, "hour", raw, uid, long, inside FROM raw_shop.typed'
    assert project.rows(query) == [
        (
            Decimal("1.10"),
            Decimal("0.123456789012345600"),
            1767323045678901,
            1767323045.0,
            "2026-01-02",
            "01:02:03",
            "AP8=",
            "00000000-0000-0000-0000-000000000001",
            12345678901234567890,
            '{"at":"2026-01-02T00:00:00Z","n":2.50}',
        )
    ], "the row with the mark of a deletion is none"
    assert project.quarantined("typed") == [b'{"id": 2, "price": null, "x": NaN}'], "NaN is no value of JSON"


def test_tables_of_arrow_and_pandas_are_rows(project: Project) -> None:
    project.write("arrow", {"arrow": {"strategy": "replace"}}, arguments={"rows": 5_000}).good()
    assert project.rows('SELECT count(*), sum(id), sum(money), count("at") FROM raw_shop.arrow') == [
        (5_002, 5_001 * 5_002 // 2, Decimal("5502.200000000000000000"), 5_001)
    ]
    assert project.types("arrow")["at"] == "TIMESTAMP WITH TIME ZONE"


def test_children_are_taken_out_of_a_resources_records(project: Project) -> None:
    tables = {
        "typed": {"key": "id", "personal": {"raw": "keep", "uid": "keep"}},
        "inner": {"of": "typed", "path": "long"},
    }
    reports = project.write("typed", tables).sync()
    assert reports["typed"].error is None
    assert "inner" in str(reports["inner"].error), "a number is no array"


def test_dlts_own_rest_source_lands_what_an_api_gives(project: Project) -> None:
    """Its resources are made of a configuration, as people have them."""
    orders = Orders({n: n for n in range(1, 8)})
    config = {
        "client": {
            "auth": {"type": "bearer", "token_env": "SHOP_TOKEN"},
            "paginator": {"type": "page_number", "total_path": None, "base_page": 0},
        },
        "resources": [
            {
                "name": "orders",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {
                    "data_selector": "records",
                    "params": {
                        "since": {"type": "incremental", "cursor_path": "changed", "initial_value": 0}
                    },
                },
            }
        ],
    }
    with serving(orders.answer) as server:
        config["client"]["base_url"] = server.url  # type: ignore[index]
        function = "dlt.sources.rest_api:rest_api_source"
        project.write(function, {"orders": {"key": "id"}}, arguments={"config": config})
        assert project.mistakes() == []
        assert project.good()["orders"].rows == 7
        orders.records[2] = 8
        assert project.good()["orders"].rows == 1
        assert project.good()["orders"].manifest is None
    assert project.rows("SELECT sum(changed) FROM raw_shop.orders") == [(34,)]


def test_a_first_draft_has_the_keys_of_the_hints_and_asks_about_personal_fields(project: Project) -> None:
    given = {"function": f"{MODULE}:shop", "arguments": "{url: http://127.0.0.1:9, token_env: SHOP_TOKEN}"}
    text = kinds.discover(
        "dlt",
        given,
        source="shop",
        environ={"SHOP_TOKEN": "s3cr3t-token"},
        today=date(2026, 1, 2),
        privacy=PRIVACY,
    )
    drafted = yaml.safe_load(text)
    assert drafted["connection"]["arguments"] == {"url": "http://127.0.0.1:9", "token_env": "SHOP_TOKEN"}
    assert (
        "s3cr3t" not in text
        and "orders is left out: shop/orders: the dlt resource orders got no answer" in text
    )
    assert drafted["tables"] == {"later": {"key": "id"}}
    assert "marked is left out: shop/marked: the dlt resource marked names the table of its rows" in text
