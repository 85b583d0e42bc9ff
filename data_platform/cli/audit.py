"""``audit``: the trail of who did what: verified, searched, written out."""

from __future__ import annotations

import csv
import json as jsonlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from data_platform.audit.event import ACTIONS
from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, output
from data_platform.cli.output import plural, remark, say, say_error, say_json, say_table
from data_platform.cli.verify import DAMAGED, SAMPLE
from data_platform.printable import printable_json

if TYPE_CHECKING:
    from data_platform.audit.event import Recorded
    from data_platform.audit.trail import Filter

SHOWN = 50
PROBLEMS_SHOWN = 20
COLUMNS = ("number", "at", "action", "who", "outcome", "objects", "subjects", "purpose", "details", "id")

app = typer.Typer(name="audit", help="The trail of who did what, to which data.", no_args_is_help=True)

Actions = StrEnum("Actions", {name: name for name in ACTIONS})  # type: ignore[misc]


class Outcomes(StrEnum):
    started = "started"
    done = "done"
    failed = "failed"


class Format(StrEnum):
    jsonl = "jsonl"
    csv = "csv"


ActionOption = Annotated[Actions | None, typer.Option("--action", help="Only events of this action.")]
ObjectOption = Annotated[
    str | None,
    typer.Option(
        "--object",
        metavar="NAME",
        help="Only events about this table, backup or source, or what is below it.",
    ),
]
WhoOption = Annotated[str | None, typer.Option("--who", metavar="NAME", help="Only events of this actor.")]
SubjectOption = Annotated[
    str | None, typer.Option("--subject", metavar="ID", help="Only events about this person, by subject id.")
]
OutcomeOption = Annotated[Outcomes | None, typer.Option("--outcome", help="Only events with this outcome.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only events at or after this day or instant (UTC)."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Only events before this day or instant (UTC).")
]


@app.command("verify")
def verify(
    all_: Annotated[
        bool,
        typer.Option(
            "--all", help="Read every entry again. Default: what is new, and a sample of the others."
        ),
    ] = False,
    sample: Annotated[
        float,
        typer.Option("--sample", metavar="SHARE", min=0, max=1, help="Share of the older blocks to read."),
    ] = SAMPLE,
    heal: Annotated[
        bool,
        typer.Option(
            "--heal", help="Put back blocks that are missing or unreadable from a copy, and verify again."
        ),
    ] = False,
    accept: Annotated[
        str | None,
        typer.Option(
            "--accept",
            metavar="REASON",
            help="Accept the trail as it is now, though it is damaged. That is recorded in it.",
        ),
    ] = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Verify the trail: entries that were removed, reordered, edited, put in between or back-dated are named.

    The signed heads and the copies in other stores are read too: without them, nobody can tell that the newest entries
    were removed together with everything that knew of them.
    """
    if heal and accept is not None:
        raise typer.BadParameter("--heal and --accept cannot be combined. Heal first.")
    platform = open_project(root, environment, whole=False)
    from data_platform.chained import copies
    from data_platform.chained.verify import verify as verify_log
    from data_platform.sync.auditing import accept_trail, reachable

    trail = platform.trail
    second, failed = reachable(trail)
    found = verify_log(trail.log, second, whole=all_, sample=sample)
    restored: list[int] = []
    if heal and found.problems:
        for store in second:
            restored += copies.restore(trail.log, store)
        found = verify_log(trail.log, second, whole=True)
    if accept is not None and found.problems:
        accept_trail(platform, accept, found)
        found = verify_log(trail.log, second)
    if json:
        say_json(
            {
                "ok": not found.problems and not failed,
                "environment": platform.environment.name,
                "store": trail.log.store.url,
                "entries": found.entries,
                "blocks": found.last,
                "blocks_read": found.blocks,
                "signed_from": found.signed_from,
                "second_stores": [store.url for store in second],
                "not_reached": list(failed),
                "restored": restored,
                "problems": list(found.problems),
            }
        )
    else:
        for problem in found.problems[:PROBLEMS_SHOWN]:
            say_error(problem)
        if len(found.problems) > PROBLEMS_SHOWN:
            say_error(f"and {len(found.problems) - PROBLEMS_SHOWN} more problems; --json lists them all.")
        if restored:
            remark(f"{plural(len(restored), 'block')} put back from a copy.")
        signed = "not signed" if found.signed_from is None else f"signed from block {found.signed_from} on"
        say(
            f"{plural(found.entries, 'event')} in {plural(found.last, 'block')}, {found.blocks:,} read, {signed}:"
            f" {plural(len(found.problems), 'problem')}"
        )
        if not trail.second:
            remark(
                "No other store holds the signed head: name one by `audit.second` or `backups` in catalog/platform.yaml."
            )
    if found.problems:
        raise typer.Exit(DAMAGED)
    for url, error in failed.items():
        say_error(f"The second store {url} was not asked: {error}")
        raise typer.Exit(error.exit_code)


@app.command("search")
def search(
    action: ActionOption = None,
    object_: ObjectOption = None,
    who: WhoOption = None,
    subject: SubjectOption = None,
    outcome: OutcomeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="Show at most this many events; 0 is all.")
    ] = SHOWN,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Search the trail, the newest events first."""
    platform = open_project(root, environment, whole=False)
    problems: list[str] = []
    wanted = _filter(action, object_, who, subject, outcome, since, until)
    found = list(islice(platform.trail.search(wanted, problems), limit or None))
    if json:
        say_json([_fields(one) for one in found])
    elif found:
        say_table(
            ["number", "at", "action", "who", "outcome", "objects", "purpose", "details"],
            [
                [
                    f"{one.number:,}",
                    f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                    *(
                        one.text(name)
                        for name in ("action", "who", "outcome", "objects", "purpose", "details")
                    ),
                ]
                for one in found
            ],
            right=["number"],
        )
    else:
        say("No such event is in the trail.")
    _tell(problems)


@app.command("export")
def export(
    format: Annotated[Format, typer.Option("--format", "-f", help="How to write the events.")] = Format.jsonl,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Where to write them. Default: standard output."),
    ] = None,
    action: ActionOption = None,
    object_: ObjectOption = None,
    who: WhoOption = None,
    subject: SubjectOption = None,
    outcome: OutcomeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Write the events out, the oldest first."""
    target = None if to is None else output(to, "--to")
    platform = open_project(root, environment, whole=False)
    problems: list[str] = []
    wanted = _filter(action, object_, who, subject, outcome, since, until)
    found = platform.trail.search(wanted, problems, newest_first=False)
    with _opened(target) as file:
        count = _written(found, file, format)
    remark(f"{plural(count, 'event')} written{f' to {target}' if target else ''}.")
    _tell(problems)


def _written(found: Iterator[Recorded], file: TextIO, format: Format) -> int:
    count = 0
    rows = csv.writer(file, lineterminator="\n")
    if format is Format.csv:
        rows.writerow(COLUMNS)
    for one in found:
        count += 1
        if format is Format.csv:
            rows.writerow([one.number, one.at.isoformat(), *(one.text(name) for name in COLUMNS[2:])])
        else:
            file.write(printable_json(jsonlib.dumps(_fields(one), ensure_ascii=False)) + "\n")
    return count


@contextmanager
def _opened(target: Path | None) -> Iterator[TextIO]:
    if target is None:
        yield sys.stdout
        return
    with target.open("w", encoding="utf-8", newline="") as file:
        yield file


def _fields(one: Recorded) -> dict[str, Any]:
    return {"number": one.number, "at": one.at.isoformat(), **one.body}


def _tell(problems: list[str]) -> None:
    """Say what is damaged, and end with the exit code of damage."""
    for problem in problems[:PROBLEMS_SHOWN]:
        say_error(problem)
    if problems:
        say_error(
            "The trail is damaged: what is damaged is not shown. `data-platform audit verify --all` names everything."
        )
        raise typer.Exit(DAMAGED)


def _filter(
    action: Any,
    object_: str | None,
    who: str | None,
    subject: str | None,
    outcome: Any,
    since: str | None,
    until: str | None,
) -> Filter:
    from data_platform.audit.trail import Filter

    return Filter(
        action and str(action),
        object_,
        who,
        subject,
        outcome and str(outcome),
        _instant(since, "--since"),
        _instant(until, "--until"),
    )


def _instant(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option}: {text[:50]!r} is not a day (2026-01-31) or an instant (2026-01-31T12:00:00+00:00)."
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
