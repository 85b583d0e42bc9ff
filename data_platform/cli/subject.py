"""``subject``: the people that the data is about. Where their rows are, all of them as files, and out of all data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, output
from data_platform.cli.output import plural, remark, say, say_json, say_table

if TYPE_CHECKING:
    from data_platform.privacy.subjects.graph import Subject
    from data_platform.sync import Platform
    from data_platform.sync.erasing.certificate import Certificate
    from data_platform.sync.erasing.steps import Derived

app = typer.Typer(name="subject", help="The people that the data is about.", no_args_is_help=True)

KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="NAME",
        help="Kind of people, as catalog/subjects.yaml names it. Default: the one that can be found so.",
        show_default=False,
    ),
]
EmailOption = Annotated[
    str | None,
    typer.Option("--email", metavar="ADDRESS", help="Short for --by email=ADDRESS.", show_default=False),
]
ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="LOOKUP=VALUE",
        help="A lookup of catalog/subjects.yaml and its value; - as the value reads one line from standard input. Repeat it for more.",
        show_default=False,
    ),
]


@app.command("list")
def list_(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """List the kinds of people, by what they are found, and which tables hold their rows."""
    platform = open_project(root, environment, whole=False)
    subjects = platform.catalog.subjects
    unreached = [str(table) for table in platform.catalog.without_subject()]
    if json:
        kinds = [
            {
                "kind": one.name,
                "description": one.description,
                "lookups": {name: list(map(str, places)) for name, places in one.lookups.items()},
                "links": [{"child": str(link.child), "parent": str(link.parent)} for link in one.links],
                "tables": list(map(str, one.tables)),
            }
            for one in subjects.values()
        ]
        say_json({"kinds": kinds, "unreached": unreached})
        return
    if not subjects:
        say(
            "catalog/subjects.yaml is not there: nobody can be found yet. docs/subjects.md says how to write it."
        )
    for one in subjects.values():
        say(f"{one.name}: {one.description}" if one.description else one.name, style="bold")
        for name, places in one.lookups.items():
            say(f"  found by {name}: {', '.join(map(str, places))}")
        say_table(
            ["table", "its rows are a person's by"],
            [[str(table), ", ".join(map(str, one.links_of(table))) or "a lookup"] for table in one.tables],
        )

    if subjects and unreached:
        remark(
            f"Tables that declare personal columns and are reached by no link: {', '.join(unreached)}.",
            style="yellow",
        )


@app.command("find")
def find(
    email: EmailOption = None,
    by: ByOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show in which tables a person's rows are, and how many. Values are never shown."""
    platform, subject, asked = _asked(root, environment, kind, email, by)
    from data_platform.sync import subjects

    found = subjects.find(platform, subject, asked)
    if json:
        say_json(
            {
                "kind": subject.name,
                "rows": found.rows,
                "tables": [
                    {"table": str(one.table), "rows": one.rows, "by": list(one.by)} for one in found.tables
                ],
                "absent": list(map(str, found.absent)),
                "untagged": found.untagged,
            }
        )
        return
    say_table(
        ["table", "rows", "by"],
        [[str(one.table), f"{one.rows:,}", ", ".join(one.by)] for one in found.tables],
        right=["rows"],
    )
    if found.absent:
        remark(f"Nothing has been loaded yet of {', '.join(map(str, found.absent))}.")
    if found.untagged:
        remark(
            f"{plural(found.untagged, 'more row')} are found under the address without what is behind its plus sign. Add --email with"
            " that address if it is the same person's.",
            style="yellow",
        )
    remark(
        f"{plural(found.rows, 'row')} found." if found.rows else f"No row of such a {subject.name} was found."
    )


@app.command("export")
def export(
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Folder that is made, with JSON and CSV a table.")
    ],
    email: EmailOption = None,
    by: ByOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Write all that is held of a person into a new folder, for a request of access.

    The files hold personal data. Only this account may read them: delete them once they were handed over.
    """
    platform, subject, asked = _asked(root, environment, kind, email, by)
    output(into, "--into", folder=True)
    from data_platform.sync.subject_export import export as write

    done = write(platform, subject, asked, into)
    if json:
        say_json(
            {
                "kind": subject.name,
                "into": str(done.into),
                "rows": done.rows,
                "tables": {str(one.table): one.rows for one in done.tables},
            }
        )
        return
    say_table(
        ["table", "rows"],
        [[str(one.table), f"{one.rows:,}"] for one in done.tables if one.rows],
        right=["rows"],
    )
    remark(f"{plural(done.rows, 'row')} written into {done.into}. Delete the folder once it was handed over.")


def _asked(
    root: Path | None, environment: str | None, kind: str | None, email: str | None, by: list[str] | None
) -> tuple[Platform, Subject, dict[str, list[str]]]:
    asked: dict[str, list[str]] = {}
    for lookup, value in [*(("email", email) for email in [email] if email), *map(_split, by or ())]:
        asked.setdefault(lookup, []).append(_line() if value == "-" else value)
    if not asked:
        raise typer.BadParameter("Say who is meant: --email ADDRESS, or --by LOOKUP=VALUE.")
    if any(not value.strip() for values in asked.values() for value in values):
        raise typer.BadParameter("A value is empty, and nobody is found by nothing.")
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.subjects import chosen

    return platform, chosen(platform, kind, asked), asked


def _split(text: str) -> tuple[str, str]:
    lookup, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(
            "--by must be of the form LOOKUP=VALUE, such as --by email=ann@company.example."
        )
    return lookup, value


def _line() -> str:
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


@app.command("erase")
def erase(
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="The request, without the name of the person.")
    ] = "",
    authorised_by: Annotated[
        str, typer.Option("--authorised-by", metavar="NAME", help="Who authorised it.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Erase. Without it the rows are only counted.")] = False,
    go_on: Annotated[
        str | None,
        typer.Option(
            "--continue", metavar="ID", help="Go on with a request that was interrupted.", show_default=False
        ),
    ] = None,
    email: EmailOption = None,
    by: ByOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Take a person out of landing, warehouse, models and copies, and keep them out. It cannot be undone.

    Backups that were made before keep the rows until their rule removes them; the certificate says until when.
    """
    from data_platform.sync.erasing import certificate, steps

    if go_on is not None:
        platform = open_project(root, environment)
        id_ = go_on
    else:
        platform, subject, asked = _asked(root, environment, kind, email, by)
        from data_platform.sync.erasing import freeze

        found = freeze.found(platform, subject, asked)
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
    request = steps.carry_out(platform, id_, lambda: derived(platform), lambda step: remark(f"  {step}"))
    _show_certificate(certificate.certify(platform, request), json)


@app.command("erasures")
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


@app.command("certificate")
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


@app.command("hold")
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
    platform, subject, asked = _asked(root, environment, kind, email, by)
    from data_platform.sync.erasing import freeze

    freeze.hold(platform, subject, freeze.found(platform, subject, asked), name, reason, by_whom)
    say(f"The hold {name} lasts until `data-platform subject release {name}`.")


@app.command("release")
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


def derived(platform: Platform) -> list[Derived]:
    """The columns of models that hold keys of people."""
    from data_platform.cli.impact import graph_of
    from data_platform.column_lineage import ColumnOf
    from data_platform.impact.carried import carried
    from data_platform.sync.erasing.freeze import keys_of
    from data_platform.sync.erasing.steps import Derived

    if not (platform.catalog.root / "dbt" / "dbt_project.yml").is_file():
        return []
    places = {
        ColumnOf(place.table.raw_schema, place.table.table, place.column.lower()): place
        for subject in platform.catalog.subjects.values()
        for place in keys_of(platform, subject).values()
    }
    found = carried(graph_of(platform.catalog.root, platform.environment.name), places)
    return [Derived(places[origin], one.schema, one.table, one.column) for one, origin in found.items()]


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
    request = one.request
    say(f"Erasure {request.id} of a {request.subject}: {request.reason}", style="bold")
    say(f"  authorised by {request.authorised_by}, asked at {request.asked_at:%Y-%m-%d %H:%M:%S UTC}")
    say(
        f"  {sum(request.rows.values()):,} rows in {sum(1 for n in request.rows.values() if n)} raw tables were found"
    )
    for step, said in request.done.items():
        told = ", ".join(f"{what}: {_told(one)}" for what, one in said.items() if what != "at")
        say(f"  {step} done at {said['at'][:19]}{f': {told}' if told else ''}")
    if request.next_step:
        say(f"  stopped before {request.next_step}: go on with --continue {request.id}", style="yellow")
    for left in one.remains:
        until = f"until {left.until:%Y-%m-%d}" if left.until else "until somebody removes it"
        say(f"  still in the backup {left.name} {left.id} ({', '.join(left.stored)}) {until}")
    say("  open" if one.open else "  closed: nothing that the platform keeps holds the person")


def _told(said: object) -> str:
    return (
        " ".join(f"{value} {what}" for what, value in said.items()) if isinstance(said, dict) else str(said)
    )
