"""``ledger``: the landing store's chain of batches, looked at by a person."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import plural, progress, remark, say, say_error, say_json
from data_platform.cli.sync import choose
from data_platform.errors import LedgerBroken
from data_platform.tables import TableId

app = typer.Typer(name="ledger", help="Look at the chain of landed batches.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at the chain of landed batches."""


@app.command("verify")
def verify(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE[/TABLE]]...", help="What to check. Default: every table."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every part and compare its SHA-256.")
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Check that no manifest is missing or altered and that every part is there and whole."""
    platform = open_project(root, environment)
    chosen = choose(platform.catalog, targets or ())
    tables = [TableId(source, name) for source, names in chosen.items() for name in names]
    problems: dict[str, list[str]] = {}
    with progress("checking the ledger", total=len(tables)) as bars:
        for table in tables:
            problems[str(table)] = platform.ledger.verify(table, deep=deep)
            bars.step()
    found = sum(map(len, problems.values()))
    if json:
        document = [{"table": table, "problems": lines} for table, lines in problems.items()]
        say_json({"ok": not found, "deep": deep, "tables": document})
    else:
        for lines in problems.values():
            for line in lines:
                say_error(line)
        if found:
            remark(f"{plural(found, 'problem')} in the ledger.", style="bold")
        else:
            how = "and every part's SHA-256 agree" if deep else "and part sizes agree"
            say(f"{plural(len(tables), 'table')}: the manifests' chain {how}.")
    if found:
        raise typer.Exit(LedgerBroken.exit_code)
