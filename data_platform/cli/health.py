"""``health``: what of the data can be believed, and if not, since when and why; writes the status page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, tell_absences
from data_platform.cli.output import progress, say, say_json, say_table, span
from data_platform.observability.trust import ASPECTS
from data_platform.observability.words import ASPECT, named, number, reason, rest, sentence, verdict

if TYPE_CHECKING:
    from data_platform.observability.trust import Aspect, Figure, Group, Health, Judged

COLOUR = {"ok": "green", "warn": "yellow", "bad": "red", "unknown": "magenta", "none": "dim"}
SIGN = {"ok": "yes", "warn": "with care", "bad": "NO", "unknown": "?", "none": "-"}


def health(
    page: Annotated[
        bool,
        typer.Option("--page", help="Write the status page too, to the path that `status_page:` names."),
    ] = False,
    tables: Annotated[bool, typer.Option("--tables", help="Show every table and model.")] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show which data can be believed, and if not, since when and why. Exit code 1 if something cannot, or is not known.

    No source is contacted, and no check is evaluated: it shows what the last syncs, builds and backups found.
    """
    platform = open_project(root, environment, whole=False)
    from data_platform.sync import health as examining

    with progress("reading the ledger, the warehouse and the backups"):
        found = examining.examine(platform, examining.recorded(platform))
        path = examining.write_page(platform, found) if page else None
    if json:
        say_json({**fields(found), "page": str(path) if path else None})
    else:
        tell(found, tables)
        tell_absences(platform)
        if path is not None:
            say()
            say(f"The status page: {path.as_uri()}")
    if found.state in ("bad", "unknown"):
        raise typer.Exit(1)


def tell(found: Health, tables: bool) -> None:
    say(verdict(found), style=f"bold {COLOUR[found.state]}")
    if rest(found):
        say(rest(found))
    for note in found.notes:
        say(f"  Not everything could be looked at: {note}", style=COLOUR["unknown"])
    for one in found.findings:
        since = f", for {span(found.at - one.since)}" if one.since else ""
        affects = f" Affects {named(one.figures)}." if one.figures else ""
        say(f"  {named(one.labels)}: {sentence(one)[:-1]}{since}.{affects}", style=COLOUR[one.state])
    if found.figures:
        say()
        say_table(
            ["figure", "newest day", "value", "believe it", "why not"],
            [_figure_row(one) for one in found.figures],
            right=("value",),
        )
    if found.domains:
        say()
        say_table(
            ["domain or owner", "can be believed", "worst"],
            [_group_row(one) for one in (*found.domains, *found.owners)],
        )
    if tables and found.judged:
        say()
        say_table(
            ["table or model", *(ASPECT[name].lower() for name in ASPECTS), "rows"],
            [_thing_row(one) for one in found.judged],
            right=("rows",),
        )


def _figure_row(one: Figure) -> list[str]:
    points = one.series.points
    day, value = (points[-1][0].isoformat(), number(points[-1][1])) if points else ("-", "-")
    worst = one.trust.worst
    why = "" if worst.state == "ok" else reason(worst, one.of)
    return [one.series.name, day, f"{value} {one.series.unit}".strip(), SIGN[worst.state], why]


def _group_row(one: Group) -> list[str]:
    why = "" if one.worst.state == "ok" else reason(one.worst)
    return [one.name, f"{one.counts['ok']} of {one.total}", why]


def _thing_row(one: Judged) -> list[str]:
    rows = f"{one.thing.rows:,}" if one.thing.rows is not None else "-"
    return [one.thing.label, *(SIGN[aspect.state] for aspect in one.trust.aspects), rows]


def fields(found: Health) -> dict[str, Any]:
    """The document of ``--json``, as docs/cli.md describes it."""
    return {
        "ok": found.state in ("ok", "warn"),
        "state": found.state,
        "environment": found.environment,
        "at": found.at.isoformat(timespec="seconds"),
        "answer": verdict(found),
        "counts": dict(found.counts),
        "notes": list(found.notes),
        "findings": [
            {
                "state": one.state,
                "aspect": one.aspect,
                "why": one.text,
                "since": _iso(one.since),
                "of": list(one.labels),
                "figures": list(one.figures),
            }
            for one in found.findings
        ],
        "figures": [
            {
                "name": one.series.name,
                "relation": one.series.relation,
                "unit": one.series.unit,
                "state": one.trust.state,
                "trust": _trust(one.trust.aspects),
                "error": one.series.error,
                "points": [[day.isoformat(), value] for day, value in one.series.points],
            }
            for one in found.figures
        ],
        "tables": [
            {
                "label": one.thing.label,
                "relation": one.thing.relation,
                "kind": one.thing.kind,
                "domain": one.thing.domain,
                "owner": one.thing.owner,
                "rows": one.thing.rows,
                "state": one.trust.state,
                "own": one.own.state,
                "trust": _trust(one.trust.aspects),
            }
            for one in found.judged
        ],
        "backups": [
            {"copy": one.name, "made_at": _iso(one.made_at), "problem": one.problem or None}
            for one in found.backups.copies
        ],
    }


def _trust(aspects: tuple[Aspect, ...]) -> dict[str, Any]:
    return {
        name: {"state": one.state, "why": one.text, "since": _iso(one.since), "of": one.of}
        for name, one in zip(ASPECTS, aspects, strict=True)
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
