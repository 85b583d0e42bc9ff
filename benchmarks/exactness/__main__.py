"""``python -m benchmarks.exactness``: every tool through every case, then one table of what each lost."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.exactness.cases import CASES
from benchmarks.exactness.report import Column, columns_of, document, table
from benchmarks.exactness.run import Cell, run_case, run_kills
from benchmarks.exactness.tools import NAMES, Tool, make_tool
from benchmarks.measure import BenchmarkError
from data_platform.errors import SandboxError
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.settings import QUIET

KILL = "kill"
TITLES = {**{case.name: case.title for case in CASES}, KILL: "SIGKILL during a sync"}
SHAPES = ("bigint", "text", "rename")
"""Changes of shape: this project may stop at them with its target untouched, and its refresh must mend it."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 when this project kept all that it promises to keep, 1 otherwise, whatever the others did."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped and removed
    wanted = options.case or list(TITLES)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if options.show:
        columns = columns_of([json.loads(Path(name).read_text()) for name in options.show])
    else:
        columns = []
        with _server() as (server, folder):
            for name in options.tool or NAMES:
                tool = make_tool(name, folder, server)
                columns.append(_column(tool, wanted, options.kills, options.seed, say))
    if options.json:
        Path(options.json).write_text(json.dumps(document(columns), indent=2) + "\n")
    print(table(columns, TITLES))
    return 0 if all(_as_promised(column) for column in columns) else 1


def _column(tool: Tool, wanted: Sequence[str], points: int, seed: int, say: Callable[[str], None]) -> Column:
    at = datetime.now(UTC).date().isoformat()
    postgres = f"PostgreSQL {tool.server.run('postgres', '--version').split()[-1]}"
    column = Column(tool.name, tool.title, tool.setup, at, postgres)
    try:
        column.versions = tool.install()
    except BenchmarkError as error:
        column.error = f"it could not be compared: {error}"
        say(f"{tool.title}: {column.error}")
        return column
    say(f"{tool.title}: {column.versions}")
    for cell in _cells(tool, wanted, points, seed, say):
        column.cells.append(cell)
        say(f"{tool.title}: {TITLES[cell.case]}: {cell.words()}")
    return column


def _cells(
    tool: Tool, wanted: Sequence[str], points: int, seed: int, say: Callable[[str], None]
) -> Iterator[Cell]:
    cases = {case.name: case for case in CASES}
    for name in TITLES:
        if name not in wanted:
            continue
        try:
            yield run_kills(tool, points, seed, say) if name == KILL else run_case(tool, cases[name])
        except (BenchmarkError, SandboxError) as error:
            yield Cell(name, False, f"could not be run: {error}", error=str(error))


def _as_promised(column: Column) -> bool:
    """Deletes are promised by the reconcile only, so it is that column that is judged."""
    if column.name != "platform-verify":
        return True
    untouched = "stopped, target as before"
    return column.error is None and all(
        cell.kept or (cell.case in SHAPES and cell.text.startswith(untouched) and cell.refreshed == "kept")
        for cell in column.cells
    )


@contextmanager
def _server() -> Iterator[tuple[PostgresServer, Path]]:
    """A server of its own, and a folder for the tools; both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="data-platform-exactness-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server runs as an unprivileged account
        server = PostgresServer(folder / "server", settings=QUIET)
        try:
            yield server.start(), folder
        finally:
            server.stop(immediate=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exactness", description=__doc__)
    parser.add_argument("--tool", action="append", choices=NAMES, help="only this one; repeatable")
    parser.add_argument("--case", action="append", choices=list(TITLES), help="only this one; repeatable")
    parser.add_argument("--kills", type=int, default=20, help="points at which a sync is killed (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="chooses those points (default 1)")
    parser.add_argument(
        "--show", nargs="+", metavar="FILE", help="only print what earlier runs wrote as JSON"
    )
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
