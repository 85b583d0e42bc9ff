"""``alerts``: what is open, who is told, and what a person decides about it."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from data_platform.alerts.problem import Kind
from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import plural, remark, say, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_platform.alerts.book import Book
    from data_platform.alerts.incidents import Incident
    from data_platform.alerts.outbox import Parcel
    from data_platform.sync import Platform

BOOK = "alerts"
WATCH = "watch"
"""The sensor that keeps its incidents itself; the landing store has a copy."""
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
SNOOZE_MAX = timedelta(days=30)

app = typer.Typer(
    name="alerts", help="Open incidents, and the channels that report them.", no_args_is_help=True
)

Kinds = StrEnum("Kinds", {name: name for name in get_args(Kind)})  # type: ignore[misc]
KeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="The incident's key as `alerts list` shows it, or a part that only it has."
    ),
]
ByOption = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="NAME", help="Who decides it: the channels say so. Default: the user of this machine."
    ),
]


class Severities(StrEnum):
    error = "error"
    warn = "warn"


@app.command("list")
def list_(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """List the open incidents: since when, who was told, and what waits."""
    platform = open_project(root, environment, whole=False)
    from data_platform.alerts.announce import outward
    from data_platform.alerts.grouping import Causes

    own = _book(platform).load().incidents
    incidents = {**_watched(platform), **own}
    out = outward(platform.environment.alerts, platform.environ)
    now = platform.clock()
    shown = sorted(incidents.values(), key=lambda one: (not one.open, one.problem.since, one.key))
    roots = Causes(incidents).roots(incidents)
    rows = [
        {
            "key": one.key,
            "kind": one.problem.kind,
            "severity": one.problem.severity,
            "object": one.problem.object,
            "summary": one.problem.summary,
            "owner": one.problem.owner or None,
            "since": one.problem.since.isoformat(),
            "state": _state(one),
            "sensor": BOOK if one.key in own else WATCH,
            "because_of": roots.get(one.key),
            "told": sorted(name for name, heard in one.channels.items() if heard.state == "open"),
            "waiting": sorted(
                name
                for name in (out.routing.steps(one, now) if one.open else {})
                if one.heard(name).state != "open" and one.key not in roots
            ),
        }
        for one in shown
    ]
    if json:
        say_json(rows)
    elif not rows:
        say("No incident is open.")
    else:
        say_table(
            ["key", "since", "state", "told", "waiting", "because of"],
            [
                [
                    str(row["key"]),
                    one.problem.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                    str(row["state"]),
                    ", ".join(row["told"]),  # type: ignore[arg-type]
                    ", ".join(row["waiting"]),  # type: ignore[arg-type]
                    str(row["because_of"] or ""),
                ]
                for row, one in zip(rows, shown, strict=True)
            ],
            upright=True,
        )


@app.command("snooze")
def snooze(
    key: KeyArgument,
    for_: Annotated[
        str,
        typer.Option(
            "--for", metavar="TIME", help="How long: minutes, hours or days, such as 30m, 2h or 1d."
        ),
    ] = "2h",
    by: ByOption = None,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Silence an incident for a while. Its end is reported all the same."""
    lasts = _duration(for_)
    platform = open_project(root, environment, whole=False)
    from data_platform.alerts.incidents import snoozed

    until = platform.clock() + lasts
    done = _change(platform, key, lambda one: snoozed(one, until, _who(by)))
    say(
        f"{done.key} is snoozed until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC. The channels say so within a minute."
    )


@app.command("resolve")
def resolve(
    key: KeyArgument,
    by: ByOption = None,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Close an incident by hand. It stays silent until its problem has gone once; what fails after that is a new one."""
    platform = open_project(root, environment, whole=False)
    from data_platform.alerts.incidents import resolved

    done = _change(platform, key, lambda one: resolved(one, _who(by)))
    say(f"{done.key} is resolved. The channels say so within a minute.")


@app.command("test")
def test(
    channels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHANNEL]...", help="The channels to try, by name. Default: all."),
    ] = None,
    kind: Annotated[
        Kinds | None,
        typer.Option("--kind", help="Try the channels to which the routes send a problem of this kind now."),
    ] = None,
    severity: Annotated[
        Severities, typer.Option("--severity", help="With --kind: the severity of the problem.")
    ] = Severities.error,
    name: Annotated[
        str,
        typer.Option("--object", metavar="NAME", help="With --kind: what fails, such as marts/order_facts."),
    ] = "a test",
    owner: Annotated[
        str, typer.Option("--owner", metavar="NAME", help="With --kind: the owner of what fails.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the message and where it would go, and send nothing.")
    ] = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Send a test incident, and its end, by each channel. A channel that fails ends the command with exit code 7."""
    platform = open_project(root, environment, whole=False)
    from data_platform.alerts.announce import outward
    from data_platform.alerts.channels import PRINT
    from data_platform.alerts.config import ui_address
    from data_platform.alerts.messages import post
    from data_platform.alerts.problem import Problem

    config, now = platform.environment.alerts, platform.clock()
    known = tuple(config.used)
    if unknown := [one for one in channels or () if one not in known]:
        raise typer.BadParameter(
            f"there is no channel {unknown[0]!r}; there are: {', '.join(known) or 'none'}."
        )
    out = outward(config, platform.environ, echo=say)
    said = "This is a test: nothing is wrong. It was sent by `data-platform alerts test`."
    problem = Problem(
        str(kind or "alerts"), name, "a test", said, {}, now, severity=severity.value, owner=owner
    )
    chosen = out.routing.opening(problem, now) if kind is not None else tuple(channels or known)
    for one, config_of in config.used.items():
        if (variable := config_of.unset(platform.environ)) and (one in chosen or not channels):
            remark(
                f"{one}: {variable} is not set; its messages go to {', '.join(out.routing.instead_of(one))}."
            )
    chosen = tuple(dict.fromkeys(name for one in chosen for name in out.routing.instead_of(one)))
    if not chosen:
        say("No route takes such a problem at this time: it would wait until one does.")
        return
    if dry_run:
        made = post(_parcel("opened", problem, PRINT, now), environment=platform.environment.name,
                    ui_url=ui_address(config, platform.environ), now=now)  # fmt: skip
        say(f"Would go to {', '.join(chosen)}:\n{made.text}")
        return
    _try(platform, out, chosen, problem, now)


def _try(platform: Platform, out: Any, chosen: tuple[str, ...], problem: Any, now: datetime) -> None:
    from dataclasses import replace

    from data_platform.alerts.config import ui_address
    from data_platform.alerts.messages import post
    from data_platform.errors import AlertError

    errors: list[str] = []
    for name in chosen:
        reference = ""
        try:
            for event in ("opened", "recovered"):
                parcel = replace(_parcel(event, problem, name, now), reference=reference)
                reference = out.channels[name].send(
                    post(
                        parcel,
                        environment=platform.environment.name,
                        ui_url=ui_address(platform.environment.alerts, platform.environ),
                        now=now,
                    )
                )
            say(f"{name}: delivered")
        except AlertError as error:
            errors.append(f"{name}: {error}")
    if errors:
        raise AlertError("\n".join(errors))


def _parcel(event: Any, problem: Any, channel: str, now: datetime) -> Parcel:
    from data_platform.alerts.incidents import Incident
    from data_platform.alerts.outbox import Entry, Parcel

    incident = Incident(problem.key, problem, now, recovered_at=now if event == "recovered" else None)
    thread = f"test-{now:%Y%m%d%H%M%S}"
    return Parcel(channel, thread, "", event, (Entry(event, incident),), over=event == "recovered")


def _book(platform: Platform) -> Book:
    """The book that the graph's sensor keeps; AlertError where its store cannot be read."""
    from data_platform.alerts.book import Book
    from data_platform.errors import AlertError

    book = Book(BOOK, platform.store, platform.signer)
    book.load()
    if book.trouble is not None:
        raise AlertError(f"The incidents are kept in the landing store, which cannot be read: {book.trouble}")
    return book


def _watched(platform: Platform) -> Mapping[str, Incident]:
    from data_platform.alerts.copies import copied

    return copied(platform.store, platform.signer, WATCH).incidents


def _change(platform: Platform, part: str, change: Any) -> Incident:
    """Change the one open incident whose key is ``part`` or has it."""
    from dataclasses import replace

    from data_platform.alerts.state import BookState
    from data_platform.errors import AlertError

    book = _book(platform)
    changed: list[str] = []

    def write(state: BookState) -> BookState:
        key = _one(state.incidents, part, _watched(platform))
        changed.append(key)
        return replace(state, incidents={**state.incidents, key: change(state.incidents[key])})

    state = book.update(write)
    if book.trouble is not None:
        raise AlertError(f"Nothing was written: {book.trouble}")
    return state.incidents[changed[-1]]


def _one(incidents: Any, part: str, watched: Mapping[str, Incident]) -> str:
    open_ = [key for key, one in incidents.items() if one.open]
    found = [key for key in open_ if key == part] or [key for key in open_ if part in key]
    if len(found) == 1:
        return found[0]
    if not found and (kept := [key for key in watched if part in key]):
        raise typer.BadParameter(
            f"{kept[0]} is kept by the sensor `{WATCH}`, which needs no store and reads none: it ends when its cause does."
        )
    if not found:
        raise typer.BadParameter(
            f"no open incident has {part!r} in its key: see `data-platform alerts list`."
        )
    raise typer.BadParameter(f"{plural(len(found), 'open incident')} have {part!r} in their keys, such as {found[0]}"
                             f" and {found[1]}. Write more of it.")  # fmt: skip


def _state(incident: Incident) -> str:
    if incident.resolved:
        return f"resolved by {incident.by}"
    if incident.recovered_at is not None:
        return "recovered, not reported yet"
    if incident.snoozed_until is not None:
        return f"snoozed until {incident.snoozed_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC by {incident.by}"
    return "open"


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text.strip())
    lasts = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < lasts <= SNOOZE_MAX:
        raise typer.BadParameter(f"{text!r} is not a time of at most 30 days, such as 30m, 2h or 1d.")
    return lasts


def _who(by: str | None) -> str:
    if by is not None and by.strip():
        return by.strip()[:80]
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "the command line"
