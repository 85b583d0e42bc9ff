"""Answers that the sandbox's Zendesk does not give, from a server that gives nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from data_platform.sync import TableReport, open_platform, sync_changes
from data_platform_tests.contracts.api_worlds import serving_world
from data_platform_tests.sources.http.server import Asked, Reply, serving
from data_platform_tests.sources.one_source import PLATFORM


def sync(folder: Path, answer: Any, table: str) -> tuple[TableReport, list[Asked], list[tuple[Any, ...]]]:
    """The report, the requests, and the rows' keys, of one sync of ``table`` with an OAuth token."""
    with serving(answer) as server:
        (folder / "catalog" / "sources").mkdir(parents=True)
        (folder / "catalog" / "platform.yaml").write_text(PLATFORM)
        connection = {"url_env": "ZENDESK_URL", "oauth_token_env": "ZENDESK_TOKEN"}
        file = {"source": "help", "kind": "zendesk", "connection": connection, "tables": {table: {}}}
        (folder / "catalog" / "sources" / "help.yaml").write_text(yaml.safe_dump(file))
        environ = {"ZENDESK_URL": server.url, "ZENDESK_TOKEN": "t0ken"}
        platform = open_platform(folder, "local", environ)
        (report,) = sync_changes(platform, "help")
        rows: list[tuple[Any, ...]] = []
        if report.error is None:
            with platform.warehouse(read_only=True) as warehouse:
                rows = [tuple(row) for row in warehouse.query(f"SELECT * FROM raw_help.{table}").rows]
        return report, list(server.asked), rows


def page(tickets: list[dict[str, Any]], **more: Any) -> Reply:
    return Reply({"tickets": tickets, "after_cursor": "a", "end_of_stream": True, **more})


def test_metric_sets_may_come_within_their_tickets(tmp_path: Path) -> None:
    sets = [{"id": 70 + n, "ticket_id": n, "replies": n} for n in (1, 2)]
    tickets = [{"id": s["ticket_id"], "status": "open", "metric_set": s} for s in sets]
    gone = {"id": 3, "status": "deleted", "metric_set": None}
    report, requests, rows = sync(tmp_path, lambda _: page([*tickets, gone]), "metric_sets")
    assert report.error is None and report.rows == len(rows) == 2
    assert {asked.headers["Authorization"] for asked in requests} == {"Bearer t0ken"}
    assert requests[0].query["include"] == "metric_sets"


def test_a_side_load_that_does_not_come_is_an_error(tmp_path: Path) -> None:
    report, _, _ = sync(tmp_path, lambda _: page([{"id": 1, "status": "open"}]), "metric_sets")
    assert "no record has the side-load `metric_set`" in str(report.error)


def test_a_cursor_that_does_not_move_is_an_error(tmp_path: Path) -> None:
    report, requests, _ = sync(tmp_path, lambda _: page([{"id": 1}], end_of_stream=False), "tickets")
    assert "does not move on" in str(report.error) and len(requests) == 2


def test_an_empty_page_is_not_the_end(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        if "cursor" not in asked.query:
            return page([], end_of_stream=False)
        return page([{"id": 1, "status": "new"}], after_cursor="b")

    report, requests, rows = sync(tmp_path, answer, "tickets")
    assert report.error is None and len(rows) == 1
    assert [asked.query.get("cursor") for asked in requests] == [None, "a"]


def test_a_list_by_number_only_is_refused(tmp_path: Path) -> None:
    answer = Reply({"macros": [{"id": 1}], "next_page": "https://acme.zendesk.com/api/v2/macros.json?page=2"})
    report, _, _ = sync(tmp_path, lambda _: answer, "macros")
    assert "gives pages by number only" in str(report.error)


def test_a_cursor_that_expired_begins_anew_and_says_so(tmp_path: Path) -> None:
    with serving_world(tmp_path, "zendesk") as (world, server):
        for n in range(1, 5):
            world.items.put(n, "first")
        world.good()
        world.items.put(2, "second")
        plain = server.answer

        def expired(asked: Asked) -> Reply:
            server.answer = plain
            return Reply({"error": "InvalidValue"}, 422)

        server.answer = expired
        report = world.good()
        assert "everything was read again from the start" in " ".join(report.notes)
        assert world.notes() == {1: "first", 2: "second", 3: "first", 4: "first"}
        server.asked.clear()
        world.items.put(9, "third")
        assert "again" not in " ".join(world.good().notes)
        assert [one.query.get("cursor") for one in server.asked] == ["5"]
