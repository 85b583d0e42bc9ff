"""``anomaly``: the alarms about figures that are not as expected, and a person's answer to them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import remark, say, say_json, say_table

if TYPE_CHECKING:
    from data_platform.quality.verdicts import Alarm, Said

REMARK_MAX = 500

app = typer.Typer(
    name="anomaly", help="Figures that are not as the past lets expect.", no_args_is_help=True
)  # fmt: skip

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="The alarm's id, or its first four letters and digits and more."),
]
RemarkOption = Annotated[
    str, typer.Option("--remark", metavar="TEXT", help="Why, for whoever looks at it later.")
]


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are accepted.")] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """List the alarms, the newest first, with what was expected and a person's answer."""
    platform = open_project(root, environment)
    from data_platform.quality.verdicts import alarms

    with platform.warehouse(read_only=True) as warehouse:
        found = [one for one in alarms(warehouse) if all_ or one.answer != "accepted"]
    if json:
        say_json([_fields(one) for one in found])
    elif not found:
        say("There is no alarm.")
    else:
        say_table(
            ["id", "table", "figure", "day", "answer", "what was found"],
            [[one.id, one.table, one.series, one.day, one.answer or "-", one.reason] for one in found],
        )


@app.command("accept")
def accept(
    id_: IdArgument,
    remark_: RemarkOption = "",
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Say that the value is right: the alarm is over, and the value counts as usual from now on."""
    _answer(id_, "accepted", remark_, json, environment, root)


@app.command("incident")
def incident(
    id_: IdArgument,
    remark_: RemarkOption = "",
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Say that the data is wrong: the value never counts as usual, and the alarm lasts until the data is right."""
    _answer(id_, "incident", remark_, json, environment, root)


def _answer(
    id_: str, said: Said, text: str, json: bool, environment: EnvironmentOption, root: RootOption
) -> None:
    platform = open_project(root, environment)
    from data_platform.quality.verdicts import answer

    with platform.warehouse() as warehouse:
        alarm = answer(warehouse, id_, said, text[:REMARK_MAX], platform.clock())
    if json:
        say_json({"ok": True, **_fields(alarm)})
        return
    meaning = {
        "accepted": "is usual from now on",
        "incident": "never counts as usual; repair the data, or the check passes when the alarm is too old",
    }
    say(f"{alarm.series} of {alarm.table} on {alarm.day} {meaning[said]}.")
    remark("The next evaluation of the check `anomalies` takes it into account.")


def _fields(alarm: Alarm) -> dict[str, object]:
    judged = alarm.judged_at.isoformat(timespec="seconds") if alarm.judged_at else None
    return asdict(alarm) | {"judged_at": judged}
