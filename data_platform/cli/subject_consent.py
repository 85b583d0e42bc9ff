"""``subject consent``: to what a person agreed, and an answer that is written down by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption
from data_platform.cli.output import remark, say, say_json, say_table
from data_platform.cli.subject_options import ByOption, EmailOption, KindOption, whom

if TYPE_CHECKING:
    from data_platform.privacy.consent.answers import State
    from data_platform.privacy.purposes import Purposed
    from data_platform.sync import Platform
    from data_platform.sync.consent.read import Consents


def add_to(app: typer.Typer) -> None:
    app.command("consent")(consent)


def consent(
    set_: Annotated[
        str | None,
        typer.Option(
            "--set", metavar="STATE", help="Write an answer down: granted or withdrawn.", show_default=False
        ),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--purpose", metavar="NAME", help="To which purpose it is an answer.", show_default=False
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            "--policy-version",
            metavar="TEXT",
            help="The version of the policy that the person answered to.",
            show_default=False,
        ),
    ] = None,
    authorised_by: Annotated[
        str, typer.Option("--authorised-by", metavar="NAME", help="Who writes the answer down.")
    ] = "",
    email: EmailOption = None,
    by: ByOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show to what a person agreed, or write their answer down. It takes effect with the next build of the models."""
    from data_platform.privacy.consent.answers import State

    platform, subject, asked = whom(root, environment, kind, email, by)
    from data_platform.errors import ConfigurationError
    from data_platform.sync.consent.book import Book
    from data_platform.sync.consent.read import consents
    from data_platform.sync.consent.table import write_decisions

    found = consents(platform, subject, asked)
    if set_ is not None:
        if set_ not in get_args(State):
            raise typer.BadParameter("--set takes granted or withdrawn.")
        if purpose is None or not authorised_by.strip():
            raise typer.BadParameter("--set needs --purpose and --authorised-by.")
        if purpose not in found.consent.purposes:
            raise ConfigurationError(
                f"catalog/subjects.yaml has no purpose {purpose!r} for a {subject.name}. It has {', '.join(found.consent.purposes)}."
            )
        state = cast("State", set_)
        Book(platform).decide(subject, found.keys, purpose, state, version, authorised_by)
        write_decisions(platform)
        found = consents(platform, subject, asked)
        for one in _totals(platform, purpose) if state == "withdrawn" else ():
            remark(f"The person stays in what earlier builds of {one.label} summed up. {one.summed_again}")
    elif purpose is not None or version is not None or authorised_by:
        raise typer.BadParameter("--purpose, --policy-version and --authorised-by go with --set.")
    _show(found, json)


def _totals(platform: Platform, purpose: str) -> list[Purposed]:
    """The models that keep sums of people who agreed then."""
    models = platform.exportable(platform.catalog).models
    return [one for _, one in sorted(models.items()) if purpose in one.totals]


def _show(found: Consents, json: bool) -> None:
    if json:
        purposes = {
            name: {
                "agrees": found.agrees(name),
                "state": answer.state if answer else None,
                "policy_version": answer.version if answer else None,
                "decided_at": answer.at.isoformat() if answer and answer.at else None,
                "said_by": answer.said_by if answer else None,
            }
            for name, answer in found.answers.items()
        }
        say_json({"kind": found.subject.name, "people": len(found.keys), "purposes": purposes})
        return
    if len(found.keys) > 1:
        say(f"{len(found.keys)} accounts; the newest answer of all holds here.")
    say_table(
        ["purpose", "may be used", "answer", "version", "when", "said by"],
        [
            [
                name,
                "yes" if found.agrees(name) else "no",
                answer.state if answer else "never answered",
                (answer.version or "") if answer else "",
                f"{answer.at:%Y-%m-%d %H:%M UTC}" if answer and answer.at else "",
                answer.said_by if answer else "",
            ]
            for name, answer in found.answers.items()
        ],
    )
