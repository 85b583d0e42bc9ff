"""How output looks: tables, progress, sizes, errors. Each command decides what it shows.

Results go to standard output, everything else (progress, notes, errors) to
standard error, so that a pipe carries only results.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from data_platform.errors import DataPlatformError
from data_platform.printable import printable, printable_json, printable_line
from data_platform.words import plural as plural

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


def console(stderr: bool = False) -> Console:
    from rich.console import Console

    # Without a terminal, no window limits the width of a line.
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 100_000
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def say(text: str = "", style: str | None = None) -> None:
    """Print a line of the result."""
    _line(text, style, stderr=False)


def remark(text: str, style: str | None = "dim") -> None:
    """Print a note, on standard error."""
    _line(text, style, stderr=True)


def say_error(text: str) -> None:
    _line(text, None, stderr=True, head="Error: ")


def _line(text: str, style: str | None, *, stderr: bool, head: str = "") -> None:
    stream, text = sys.stderr if stderr else sys.stdout, printable(text)
    if not stream.isatty():  # importing rich takes 0.1 s, and there is nothing to style
        print(head + text, file=stream)
        return
    from rich.text import Text

    console(stderr).print(Text.assemble((head, "bold red"), (text, style or "")), soft_wrap=True)


def say_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a document on standard output; characters that would act on a terminal become JSON escapes."""
    print(printable_json(json.dumps(document, ensure_ascii=False, indent=indent)))


def error_fields(error: DataPlatformError) -> dict[str, Any]:
    """An error as every ``--json`` output shows it."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "retryable": error.retryable,
        "exit_code": error.exit_code,
    }


def say_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str] = (),
    upright: bool = False,
) -> None:
    """Print a table; the columns named in ``right`` are numbers. With ``upright``, a table that is wider
    than the window is printed row by row, one line for each column."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    out = console()
    headings = [printable_line(heading) for heading in headings]
    right = {printable_line(heading) for heading in right}
    rows = [[printable_line(value) for value in row] for row in rows]
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    if (
        upright
        and rows
        and table.__rich_measure__(out, out.options.update(max_width=10**9)).maximum > out.width
    ):
        width = max(map(len, headings))
        for number, row in enumerate(rows, 1):
            say(f"row {number:,}", style="bold")
            for heading, value in zip(headings, row, strict=True):
                say(f"  {heading:<{width}}  {value}")
    elif sys.stdout.isatty():
        out.print(table)
    else:
        with out.capture() as captured:
            out.print(table)
        print("\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip()))


class Bars:
    """The progress bars of one operation: a main bar, and one for each named part."""

    def __init__(self, bars: Progress | None, main: TaskID | None = None) -> None:
        self._bars, self._main = bars, main
        self._parts: dict[str, TaskID] = {}

    def done(self, completed: float) -> None:
        """Set the progress of the whole."""
        if self._bars is not None and self._main is not None:
            self._bars.update(self._main, completed=completed)

    def step(self) -> None:
        """Advance the whole by one."""
        if self._bars is not None and self._main is not None:
            self._bars.update(self._main, advance=1)

    def part(self, name: str, completed: int, total: int) -> None:
        """Set the progress of the part ``name``; ``total`` is 0 while it is unknown. Any thread may call it."""
        if self._bars is None:
            return
        if name not in self._parts:
            self._parts[name] = self._bars.add_task(f"  {printable_line(name)}", total=total or None)
        self._bars.update(self._parts[name], completed=completed, total=max(total, completed) or None)

    def part_done(self, name: str) -> None:
        if self._bars is not None and name in self._parts:
            self._bars.remove_task(self._parts.pop(name))


@contextmanager
def progress(description: str, total: float | None = None) -> Iterator[Bars]:
    """Progress bars on standard error, removed at the end; nothing is shown without a terminal."""
    if not sys.stderr.isatty():
        yield Bars(None)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Count(TextColumn):
        """How many of how many, as far as either is known."""

        def render(self, task: Task) -> Text:
            done = f"{task.completed:,.0f}" if task.completed else ""
            return Text(done if task.total is None else f"{done or 0}/{task.total:,.0f}")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        Count(""),
        TimeElapsedColumn(),
    )
    # Lines that go to the same terminal are put above the bars; a file must get its own.
    shared = sys.stdout.isatty()
    with Progress(*columns, console=console(stderr=True), transient=True, redirect_stdout=shared) as bars:
        yield Bars(bars, bars.add_task(description, total=total))


def size(count: int) -> str:
    """Bytes for people: powers of 1000, three digits."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} TB"


def ago(at: datetime | None, now: datetime) -> str:
    return "never" if at is None else f"{span(now - at)} ago"


def span(time: timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
