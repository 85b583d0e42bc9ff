"""Words and numbers as people read them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.cli.output import ago, plural, progress, say_table, size, span


def test_sizes() -> None:
    assert [size(n) for n in (0, 999, 1000, 1500, 999_499, 1_000_000, 123_456_789, 5 * 10**12)] == [
        "0 B", "999 B", "1 kB", "1.5 kB", "999 kB", "1 MB", "123 MB", "5 TB",
    ]  # fmt: skip


def test_counts() -> None:
    words = [(1, "table"), (2, "table"), (2, "batch"), (3, "query"), (1_000, "waiting batch")]
    assert [plural(n, noun) for n, noun in words] == [
        "1 table", "2 tables", "2 batches", "3 queries", "1,000 waiting batches",
    ]  # fmt: skip


def test_times() -> None:
    spans = (0, 59, 60, 7199, 7200, 86_400, 172_800)
    assert [span(timedelta(seconds=n)) for n in spans] == [
        "0 s",
        "59 s",
        "1 min",
        "119 min",
        "2 h",
        "24 h",
        "2 d",
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert ago(None, now) == "never"
    assert ago(now + timedelta(hours=1), now) == "0 s ago"


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working", total=3) as bars:
        bars.part("a [red]table[/red]", 0, 0)
        bars.part("a [red]table[/red]", 7, 5)
        bars.part_done("a [red]table[/red]")
        bars.part_done("unknown")
        bars.step()
        bars.done(3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == ""


def test_a_row_wider_than_the_window_stands_upright(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    monkeypatch.setattr("data_platform.cli.output.console", lambda stderr=False: Console(width=40))
    say_table(["short", "long"], [["1", "x" * 60]], upright=True)
    assert capsys.readouterr().out == f"row 1\n  short  1\n  long   {'x' * 60}\n"
    say_table(["short", "long"], [["1", "x"]], upright=True)
    assert "row 1" not in capsys.readouterr().out


def test_tables_do_not_read_markup_and_do_not_break_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(["name"], [["[bold]" + "x" * 150]])
    assert "[bold]" + "x" * 150 in capsys.readouterr().out


TERMINAL = """

from data_platform.cli.output import progress, say
with progress("working", total=2) as bars:
    bars.part("shop/orders", 1, 0)
    say("a result")
    bars.part("shop/orders", 2, 4)
    bars.part_done("shop/orders")
    bars.step()
    bars.done(2)
"""


def test_bars_on_a_terminal_leave_results_where_they_were_sent(tmp_path: Path) -> None:
    """Standard error is a terminal and standard output a file, as in ``data-platform sync > log``."""
    ours, theirs = pty.openpty()
    results = tmp_path / "results"
    with results.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", TERMINAL], stdout=out, stderr=theirs, timeout=60, check=False
        )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 0, shown
    assert results.read_text() == "a result\n"
    assert "working" in shown
    assert "a result" not in shown
