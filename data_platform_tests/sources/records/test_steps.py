"""Pages, steps, children: what is read once, what goes on where it ended, what is replaced together."""

from __future__ import annotations

from typing import Any

import pytest

from data_platform.cli.sync import tell
from data_platform.errors import LoadRefused
from data_platform.sources.records import fetch, steps
from data_platform.sync import finish
from data_platform_tests.contracts.toy_pages import feed
from data_platform_tests.sources.records.conftest import Piles

INVOICES = {
    "invoices": {"key": "id"},
    "lines": {"of": "invoices", "path": "lines.data"},
}


def invoice(id_: int, *lines: Any) -> dict[str, Any]:
    return {"id": id_, "lines": {"data": list(lines)}}


def lines_of(piles: Piles) -> list[tuple[Any, ...]]:
    return piles.rows("SELECT _parent_id, _index, sku, n FROM raw_api.lines ORDER BY 1, 2")


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "STEP_RECORDS", 6)


@pytest.mark.usefixtures("small_steps")
def test_a_cut_goes_on_where_it_ended(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put(*({"id": n} for n in range(20)))
    (piles.folder / "broken").write_text("15")
    assert "the page at line 15 is torn" in piles.failure()
    assert sum(batch.rows for batch in piles.batches()) == 15, "what was read before the cut has landed"
    assert piles.rows("SELECT count(*) FROM raw_api.items") == [(15,)], "and is loaded"
    (piles.folder / "broken").unlink()
    feed.ASKED.clear()
    piles.good()
    assert feed.ASKED == [15, 18]
    assert [id_ for (id_,) in piles.rows("SELECT id FROM raw_api.items ORDER BY id")] == list(range(20))


@pytest.mark.usefixtures("small_steps")
def test_what_landed_before_a_cut_is_told_with_it(
    piles: Piles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piles.tables({"items": {"key": "id"}, "others": {"key": "id"}})
    piles.pile().put(*({"id": n} for n in range(20)))
    piles.pile("others").put({"id": 1})
    (piles.folder / "broken").write_text("15")
    reports = piles.sync()
    failed = reports["items"]
    assert failed.error is not None and not failed.landed_only
    assert [load.sequence for load in failed.loaded] == [1, 2, 3] and failed.rows == 15
    assert reports["others"].error is None
    tell(failed)
    assert (
        capsys.readouterr().out == "api/items: failed; 15 rows that were read before landed and are loaded\n"
    )
    refused = LoadRefused("not this one")

    def not_loaded(*_: Any, **__: Any) -> Any:
        raise refused

    (piles.folder / "broken").write_text("18")
    piles.pile("others").put({"id": 2})
    monkeypatch.setattr(finish, "load_pending", not_loaded)
    reports = piles.sync()
    assert "torn" in str(reports["items"].error), "of two failures the first is told"
    assert reports["items"].landed_only and reports["others"].error is refused


@pytest.mark.usefixtures("small_steps")
def test_a_refresh_changes_the_table_at_once_or_not_at_all(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put(*({"id": n, "x": 1} for n in range(20)))
    piles.good()
    assert len(piles.batches()) == 4
    (piles.folder / "broken").write_text("15")
    assert "torn" in piles.failure(refresh=["items"])
    assert len(piles.rows("SELECT id FROM raw_api.items")) == 20 and len(piles.batches()) == 4
    (piles.folder / "broken").unlink()
    piles.good(refresh=["items"])
    assert [(b.load, b.rows) for b in piles.batches()[4:]] == [("replace", 20)]


def test_of_one_key_the_last_record_holds(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put(
        {"id": 1, "x": "a"},
        {"id": 2, "x": "a"},
        {"id": 1, "x": "b"},
        {"id": 1, "x": "c"},
        {"id": 2, "x": "a"},
    )
    piles.good()
    assert piles.rows("SELECT id, x FROM raw_api.items ORDER BY id") == [(1, "c"), (2, "a")]


def test_children_are_rows_with_their_parents_key_and_are_replaced_together(piles: Piles) -> None:
    piles.tables(INVOICES)
    pile = piles.pile("invoices")
    pile.put(
        invoice(1, {"sku": "a", "n": 1}, {"sku": "b", "n": 2}), invoice(2, {"sku": "c", "n": 3}), {"id": 3}
    )
    piles.good()
    assert lines_of(piles) == [(1, 0, "a", 1), (1, 1, "b", 2), (2, 0, "c", 3)]
    pile.put(
        invoice(1, {"sku": "b", "n": 9}),
        invoice(2),
        invoice(3, {"sku": "d", "n": 1}),
        invoice(3, {"sku": "e", "n": 2}),
    )
    reports = piles.good()
    assert {r.operation for r in reports.values()} == {"changes"}
    assert lines_of(piles) == [(1, 0, "b", 9), (3, 0, "e", 2)]
    pile.put({"id": 1}, gone=True)
    piles.good()
    assert lines_of(piles) == [(3, 0, "e", 2)]
    assert piles.rows("SELECT id FROM raw_api.invoices ORDER BY id") == [(2,), (3,)]


def test_parent_and_children_are_fed_by_one_walk(piles: Piles) -> None:
    piles.tables(INVOICES)
    piles.pile("invoices").put(*(invoice(n, {"sku": "a", "n": n}) for n in range(7)))
    piles.good()
    assert feed.ASKED == [0, 3, 6]


def test_a_child_that_comes_later_is_read_from_the_beginning(piles: Piles) -> None:
    piles.tables({"invoices": {"key": "id"}})
    piles.pile("invoices").put(*(invoice(n, {"sku": "a", "n": n}) for n in range(4)))
    piles.good()
    piles.tables(INVOICES)
    piles.good()
    assert len(lines_of(piles)) == 4
    piles.pile("invoices").put(invoice(9, {"sku": "z", "n": 9}))
    feed.ASKED.clear()
    piles.good()
    assert feed.ASKED == [4], "both go on from one place again"


def test_elements_that_are_no_objects_are_values(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}, "tags": {"of": "items", "path": "tags"}})
    piles.pile().put({"id": 1, "tags": ["x", "y"]}, {"id": 2, "tags": []}, {"id": 3, "tags": None})
    piles.good()
    assert piles.rows("SELECT _parent_id, _index, value FROM raw_api.tags ORDER BY 1, 2") == [
        (1, 0, "x"),
        (1, 1, "y"),
    ]


def test_what_is_no_array_is_said(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}, "tags": {"of": "items", "path": "tags"}})
    piles.pile().put({"id": 1, "tags": {"a": 1}})
    assert "api/tags: tags is no array in a record of items.jsonl, line 0" in piles.failure("tags")
    assert piles.rows("SELECT id FROM raw_api.items") == [(1,)], "the parent is not kept from landing"


def test_a_state_that_is_lost_reads_everything_anew(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put({"id": 1}, {"id": 2})
    piles.good()
    (piles.folder / "forgotten").write_text("5")
    report = piles.good()["items"]
    assert report.operation == "refresh" and "lines were forgotten; everything was re" in " ".join(
        report.notes
    )


@pytest.mark.usefixtures("small_steps")
def test_a_million_is_read_like_a_few(piles: Piles, monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks on disk and several steps: the same rows as in one."""
    monkeypatch.setattr(steps, "CHUNK_RECORDS", 4)
    piles.tables(INVOICES)
    piles.pile("invoices").put(
        *(invoice(n, *({"sku": str(m), "n": m} for m in range(n % 3))) for n in range(40))
    )
    piles.good()
    assert len(piles.rows("SELECT id FROM raw_api.invoices")) == 40
    assert len(lines_of(piles)) == sum(n % 3 for n in range(40))


@pytest.mark.parametrize("keys", [[2**70, 1], ["a", 1], [0.5, 2]])
def test_a_parents_key_may_be_of_any_kind(piles: Piles, keys: list[Any]) -> None:
    piles.tables(INVOICES)
    piles.pile("invoices").put(*(invoice(key, {"sku": "a", "n": 1}) for key in keys))
    piles.good()
    assert piles.rows("SELECT count(*) FROM raw_api.lines JOIN raw_api.invoices ON _parent_id = id") == [(2,)]
