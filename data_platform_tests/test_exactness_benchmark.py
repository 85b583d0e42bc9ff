"""The comparison in benchmarks/exactness runs, its grading sees every kind of loss, and our own column is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from benchmarks.exactness.__main__ import TITLES, main
from benchmarks.exactness.grade import canonical, compare, contents
from benchmarks.exactness.report import Column, columns_of, document, table
from benchmarks.exactness.run import Cell

COLUMNS = ("order_id", "quantity")
BEFORE = [(1, 10), (2, 20), (3, 30)]
AFTER = [(1, 10), (2, 21), (4, 40)]


@pytest.mark.parametrize(
    ("columns", "target", "words"),
    [
        (COLUMNS, AFTER, "kept"),
        (COLUMNS, [(1, 10), (2, 21)], "lost 1 of 1 new row"),
        (COLUMNS, [(2, 21), (4, 40)], "lost 1 of 3 standing rows"),
        (COLUMNS, [(1, 10), (2, 20), (4, 40)], "stale 1 of 1 changed row"),
        (COLUMNS, [(1, None), (2, None), (4, None)], "stale 3 of 3 rows"),
        (COLUMNS, [*AFTER, (3, 30)], "left 1 of 1 deleted row"),
        (COLUMNS, [*AFTER, (4, 40)], "duplicated 1 of 4 rows"),
        (("order_id",), [(1,), (2,), (4,)], "no column quantity"),
        ((), [], "lost 1 of 1 new row, lost 2 of 3 standing rows"),
    ],
)
def test_every_kind_of_loss_has_its_words(columns: tuple[str, ...], target: list[Any], words: str) -> None:
    found = compare(contents(COLUMNS, BEFORE), contents(COLUMNS, AFTER), contents(columns, target))
    assert str(found) == words
    assert found.nothing == (words == "kept")


def test_values_are_compared_and_not_their_types() -> None:
    assert canonical(5) == canonical("5") == canonical(Decimal("5.00")) == canonical(5.0)
    assert canonical(3_000_000_000) == canonical("3000000000")
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert canonical(noon) == canonical(noon.astimezone(timezone(timedelta(hours=2))))
    assert (
        canonical(noon) == canonical(noon.replace(tzinfo=None)) != canonical(noon + timedelta(microseconds=1))
    )
    assert canonical(None) is None
    assert canonical(Decimal("NaN")) != canonical(None)


def test_runs_are_shown_together_and_the_later_one_counts() -> None:
    def run(*cells: Cell) -> dict[str, Any]:
        return document(
            [Column("dlt", "dlt", "a setup", "2026-11-22", "PostgreSQL 18", "1.0", None, list(cells))]
        )

    lost = Cell("null", False, "lost 1 of 1 new row", 3, None, "failed: a|b")
    (column,) = columns_of(
        [run(Cell("tie", True, "kept"), lost), run(Cell("tie", False, "stale 1 row", refreshed="kept"))]
    )
    assert table([column], TITLES).splitlines()[-2:] == [
        "| tie at the watermark | stale 1 row |",
        "| NULL as the time | lost 1 of 1 new row; full refresh: failed: a\\|b |",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("thorough")
def test_our_own_column_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "out.json"
    chosen = ["--case", "late", "--case", "delete", "--case", "kill", "--kills", "1"]
    assert main(["--tool", "platform-verify", *chosen, "--json", str(written)]) == 0
    (column,) = json.loads(written.read_text())["tools"]
    assert column["error"] is None
    words = {cell["case"]: cell["text"] for cell in column["cells"]}
    assert words == {"late": "kept", "delete": "kept", "kill": "kept after 1 of 1 kill"}
    table = capsys.readouterr().out
    main(["--show", str(written)])
    assert capsys.readouterr().out == table


def test_every_case_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[1] / "docs" / "exactness.md").read_text()
    assert [title for title in TITLES.values() if f"| {title} |" not in text] == []
