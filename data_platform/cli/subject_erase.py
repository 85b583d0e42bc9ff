"""``subject erase`` and what belongs to it: requests, certificates, legal holds."""

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
from data_platform.cli.output import remark, say, say_json, say_table
from data_platform.cli.subject_options import ByOption, EmailOption, KindOption, PeopleOption, all_of, whom

if TYPE_CHECKING:
    from data_platform.sync.erasing.certificate import Certificate


def add_to(app: typer.Typer) -> None:
    app.command("erase")(erase)
    app.command("erasures")(erasures)
    app.command("certificate")(certificate)
    app.command("hold")(hold)
    app.command("release")(release)


def erase(
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="The request, without the name of the person.")
    ] = "",
    authorised_by: AuthorisedByOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Erase. Without it the rows are only counted.")] = False,
    go_on: Annotated[
        str | None,
        typer.Option(
            "--continue", metavar="ID", help="Go on with a request that was interrupted.", show_default=False
        ),
    ] = None,
    models_built: Annotated[
        bool,
        typer.Option(
            "--models-built",
            help="With --continue: say that the models that the certificate names were built again in full.",
        ),
    ] = False,
    email: EmailOption = None,
    by: ByOption = None,
    people: PeopleOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Take a person out of landing, warehouse, models and copies, and keep them out. It cannot be undone.

    Backups that were made before keep the rows until their rule removes them; the certificate says until when.
    """
    from data_platform.defs.derived_models import derived_models
    from data_platform.sync.erasing import certificate, models, steps
    from data_platform.sync.erasing.book import Book

    if models_built and go_on is None:
        raise typer.BadParameter("--models-built goes with --continue ID.")
    if go_on is not None:
        platform = open_project(root, environment)
        id_ = go_on
    else:
        from data_platform.sync.erasing import freeze

        if people is None:
            platform, subject, asked = whom(root, environment, kind, email, by)
            found = freeze.found(platform, subject, asked)
        elif email or by:
            raise typer.BadParameter("--people goes without --email and --by.")
        else:
            platform, subject, lines = all_of(root, environment, kind, people)
            found = freeze.together(freeze.found_together(platform, subject, lines))
            remark(f"{people.name} names {found.people:,} different people.")
        if not yes:
            _show_counts({str(table): rows for table, rows in found.rows.items()}, json)
            remark("Nothing was erased. Add --yes, --reason and --authorised-by to erase them for good.")
            return
        if not reason.strip() or not authorised_by.strip():
            raise typer.BadParameter("--yes needs --reason and --authorised-by.")
        id_ = freeze.ask(platform, subject, found, reason, authorised_by).id
        remark(
            f"The request is {id_}. If this is interrupted: `data-platform subject erase --continue {id_}`."
        )
    request = steps.carry_out(
        platform, id_, lambda: derived_models(platform), lambda step: remark(f"  {step}")
    )
    if models_built:
        models.settle(platform, [request], "subject erase --models-built")
        request = Book(platform).request(id_)
    _show_certificate(certificate.certify(platform, request), json)


def erasures(
    json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None
) -> None:
    """List all requests to erase somebody, and the legal holds that last."""
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.erasing.book import Book

    found = Book(platform).read()
    if json:
        say_json(
            {
                "requests": [
                    {
                        "id": one.id,
                        "kind": one.subject,
                        "reason": one.reason,
                        "authorised_by": one.authorised_by,
                        "people": one.people,
                        "asked_at": one.asked_at.isoformat() if one.asked_at else None,
                        "rows": dict(one.rows),
                        "next_step": one.next_step,
                    }
                    for one in found.requests.values()
                ],
                "holds": [
                    {"name": one.name, "kind": one.subject, "reason": one.reason, "by": one.by}
                    for one in found.holds.values()
                ],
            }
        )
        return
    if not found.requests and not found.holds:
        say("Nobody was erased, and nobody is on hold.")
        return
    say_table(
        ["request", "asked", "kind", "rows", "reason", "state"],
        [
            [
                one.id,
                f"{one.asked_at:%Y-%m-%d %H:%M UTC}",
                one.subject,
                f"{sum(one.rows.values()):,}",
                one.reason,
                f"stopped before {one.next_step}" if one.next_step else "done",
            ]
            for one in found.requests.values()
        ],
        right=["rows"],
    )
    for hold in found.holds.values():
        say(f"hold {hold.name}: a {hold.subject}, since {hold.since:%Y-%m-%d} by {hold.by}: {hold.reason}")


def certificate(
    request: Annotated[
        str, typer.Argument(metavar="ID", help="The request, as `subject erasures` lists it.")
    ],
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show what was erased where, and which backups still hold the person and until when."""
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.erasing.book import Book
    from data_platform.sync.erasing.certificate import certify

    _show_certificate(certify(platform, Book(platform).request(request)), json)


def hold(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the hold, such as case-77.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, without the name of the person.")
    ],
    by_whom: Annotated[str, typer.Option("--authorised-by", metavar="NAME", help="Who ordered it.")],
    email: EmailOption = None,
    by: ByOption = None,
    kind: KindOption = None,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Keep a person from being erased until the hold is released."""
    platform, subject, asked = whom(root, environment, kind, email, by)
    from data_platform.sync.erasing import freeze

    freeze.hold(platform, subject, freeze.found(platform, subject, asked), name, reason, by_whom)
    say(f"The hold {name} lasts until `data-platform subject release {name}`.")


def release(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The hold, as `subject erasures` lists it.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it ends.")],
    by_whom: Annotated[str, typer.Option("--authorised-by", metavar="NAME", help="Who released it.")],
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """End a legal hold."""
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.erasing.book import Book

    Book(platform).release(name, reason, by_whom)
    say(f"The hold {name} is released.")


def _show_counts(rows: dict[str, int], json: bool) -> None:
    if json:
        say_json({"rows": sum(rows.values()), "tables": rows})
        return
    say_table(
        ["table", "rows"], [[table, f"{count:,}"] for table, count in rows.items() if count], right=["rows"]
    )


def _show_certificate(one: Certificate, json: bool) -> None:
    if json:
        say_json({**one.fields, "open": one.open})
        return
    from data_platform.privacy.erasure.requests import TOTALS, UNTIL_BUILT, UNTIL_REFRESHED

    request = one.request
    whose = {0: "people of earlier requests", 1: f"a {request.subject}"}.get(
        request.people, f"{request.people:,} people ({request.subject})"
    )
    say(f"Erasure {request.id} of {whose}: {request.reason}", style="bold")
    say(f"  authorised by {request.authorised_by}, asked at {request.asked_at:%Y-%m-%d %H:%M:%S UTC}")
    say(
        f"  {sum(request.rows.values()):,} rows in {sum(1 for n in request.rows.values() if n)} raw tables were found"
    )
    aside = ("at", UNTIL_BUILT, UNTIL_REFRESHED, TOTALS)
    for step, said in request.done.items():
        told = ", ".join(f"{what}: {_told(one)}" for what, one in said.items() if what not in aside)
        say(f"  {step} done at {said['at'][:19]}{f': {told}' if told else ''}")
    if request.next_step:
        say(f"  stopped before {request.next_step}: go on with --continue {request.id}", style="yellow")
    built, refreshed = request.unbuilt
    if built:
        say(f"  until they are built again: {', '.join(built)}", style="yellow")
    if refreshed:
        say(
            f"  until they are built again in full (dbt build --full-refresh): {', '.join(refreshed)}. Then say so with --continue"
            f" {request.id} --models-built",
            style="yellow",
        )
    if totals := request.totals:
        names = " ".join(name.rpartition(".")[2] for name in totals)
        say(
            f"  in what earlier builds summed up, which says nothing of the person alone: {', '.join(totals)}. `dbt build --full-refresh"
            f" --select {names}` sums up again; a snapshot has to be dropped first"
        )
    for left in one.remains:
        until = f"until {left.until:%Y-%m-%d}" if left.until else "until somebody removes it"
        say(f"  still in the backup {left.name} {left.id} ({', '.join(left.stored)}) {until}")
    say("  open" if one.open else "  closed: nothing that the platform keeps holds the person")


def _told(said: object) -> str:
    return (
        " ".join(f"{value} {what}" for what, value in said.items()) if isinstance(said, dict) else str(said)
    )
