"""``retention``: what is older than its rule, and its removal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import (
    AuthorisedByOption,
    EnvironmentOption,
    JsonOption,
    RootOption,
    open_project,
)
from data_platform.cli.output import plural, remark, say, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_platform.privacy.retention.requests import Application
    from data_platform.privacy.retention.rule import AgedModel
    from data_platform.sync import Platform
    from data_platform.sync.retention.apply import Beyond
    from data_platform.sync.retention.kept import StillHeld
    from data_platform.tables import TableId

app = typer.Typer(
    name="retention", help="What is older than its table's rule, and its removal.", no_args_is_help=True
)

TablesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--table", metavar="SOURCE.TABLE", help="Only this table. Repeat it for more. Default: all with a rule.", show_default=False
    ),
]  # fmt: skip


@app.command("show")
def show(
    table: TablesOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Count the rows that are older than their table's rule. Nothing is changed."""
    platform = open_project(root, environment)
    from data_platform.sync.retention.apply import plan, unfinished
    from data_platform.sync.retention.kept import still_held

    held = still_held(platform)
    found, stopped = plan(platform, _chosen(platform, table), thorough=True), unfinished(platform)
    if json:
        say_json(
            {
                "ok": True,
                "tables": [_described(one) for one in found],
                "stopped": [one.id for one in stopped],
                "in_backups": [_in_backups(one) for one in held],
            }
        )
        return
    _show(found)
    for left in held:
        say(
            f"What {left.application.id} took out of {', '.join(map(str, left.application.limits))} is in"
            f" {plural(len(left.backups), 'backup')} ({', '.join(left.classes)})"
            + (f" until {left.until:%Y-%m-%d}" if left.until else ", and no rule removes all of them")
        )
    for one in stopped:
        say(f"{one.id} stopped before {one.next_step}: `data-platform retention apply --continue {one.id}`")


@app.command("apply")
def apply(
    table: TablesOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them. Without it the rows are only counted.")
    ] = False,
    authorised_by: AuthorisedByOption = "",
    go_on: Annotated[
        str | None,
        typer.Option("--continue", metavar="ID", help="Go on with what was interrupted.", show_default=False),
    ] = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Delete or anonymise the rows that are older than their table's rule, everywhere but in backups. It cannot be undone."""
    platform = open_project(root, environment)
    from data_platform.sync.retention import apply as applying

    if go_on is None:
        found = applying.plan(platform, _chosen(platform, table), thorough=True)
        if not yes:
            if json:
                say_json({"ok": True, "tables": [_described(one) for one in found]})
            else:
                _show(found)
            remark("Nothing was changed. Add --yes and --authorised-by to remove them for good.")
            return
        if not authorised_by.strip():
            raise typer.BadParameter("--yes needs --authorised-by.")
        asked = applying.ask(platform, found, authorised_by)
        if asked is None:
            if json:
                say_json({"ok": True, "id": None, "rows": {}, "steps": {}})
            else:
                say("No row is older than its table's rule.")
            return
        go_on = asked.id
        remark(f"If this is interrupted: `data-platform retention apply --continue {go_on}`.")
    done = applying.carry_out(platform, go_on, lambda: models_of(platform), lambda step: remark(f"  {step}"))
    _tell(done, json)


def models_of(platform: Platform) -> Sequence[AgedModel]:
    """The models that hand on the columns by which rows grow old."""
    from data_platform.cli.output import progress
    from data_platform.defs.aged_models import aged_models

    with progress("compiling the models"):
        return aged_models(platform)


def _chosen(platform: Platform, names: list[str] | None) -> list[TableId]:
    from data_platform.errors import ConfigurationError
    from data_platform.tables import TableId

    chosen = [TableId.parse(name.replace(".", "/")) for name in names or ()]
    for one in chosen:
        if platform.catalog.table(one).retention is None:
            raise ConfigurationError(f"{one} has no `retention` in the catalog.")
    return chosen


def _show(found: Sequence[Beyond]) -> None:
    if not found:
        say("No table of the catalog has a `retention`.")
        return
    shown = [one.fields for one in found]
    say_table(
        list(shown[0]),
        [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row.values()] for row in shown],
        right=[name for name, cell in shown[0].items() if isinstance(cell, int)],
    )


def _described(one: Beyond) -> dict[str, object]:
    limit = one.limit
    return {
        "table": str(limit.table),
        "before": limit.before.isoformat(),
        "by": limit.by,
        "anonymise": list(limit.blank),
        "oldest": one.oldest,
        "rows": one.rows,
        "landed": one.landed,
        "rejected": one.rejected,
        "on_hold": one.spared,
        "undated": one.undated,
    }


def _in_backups(one: StillHeld) -> dict[str, object]:
    return {
        "id": one.application.id,
        "tables": [str(table) for table in one.application.limits],
        "backups": one.classes,
        "until": one.until.isoformat() if one.until else None,
    }


def _tell(done: Application, json: bool) -> None:
    if json:
        steps = {step: dict(said) for step, said in done.done.items()}
        say_json({"ok": True, "id": done.id, "rows": dict(done.rows), "steps": steps})
        return
    for table, rows in done.rows.items():
        limit = next(one for one in done.limits.values() if str(one.table) == table)
        act = "were anonymised" if limit.blank else "were deleted"
        say(f"{table}: {plural(rows, 'row')} from before {limit.before} {act}")
        if records := done.done["landing"].get(table, {}).get("records_in_quarantine"):
            say(f"{table}: {plural(records, 'record')} in quarantine deleted")
    said = done.done["warehouse"]
    if held := said.get("holds"):
        say(f"Rows of people on hold stayed: {', '.join(held)}")
    if untold := said.get("full_refresh"):
        say(
            f"Build these again with --full-refresh, for they do not hand on the column in `by`: {', '.join(untold)}"
        )
