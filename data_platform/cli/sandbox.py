"""``sandbox``: starts, exercises and stops a simulated shop: a local PostgreSQL server and the services around it."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import JsonOption, RootOption, project
from data_platform.cli.output import progress, remark, say, say_json
from data_platform.errors import SandboxError

if TYPE_CHECKING:
    from data_platform.sandbox import SandboxInfo

app = typer.Typer(
    name="sandbox",
    help="A simulated shop: a real, local PostgreSQL server with two years of history, and the services around it.",
    no_args_is_help=True,
)


@app.command("up")
def up(
    orders: Annotated[
        int, typer.Option("--orders", min=1, help="Orders in the history; everything else follows.")
    ] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same history.")] = 1,
    today: Annotated[
        datetime | None,
        typer.Option(
            "--today",
            formats=["%Y-%m-%d"],
            metavar="DAY",
            help="The first day without history. Default: the current one, UTC.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=65535,
            help="Port on 127.0.0.1. Default: the previous one, or a free one.",
            show_default=False,
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the database first and create it again.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="Add rows that fail rules of severity error.")
    ] = False,
    json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Start the servers, create the database if there is none, and write .env."""
    folder = project(root)
    from data_platform.sandbox import up as start

    with progress("starting the sandbox") as bars:
        info = start(
            folder,
            orders=orders,
            seed=seed,
            today=today.date() if today else None,
            port=port,
            fresh=fresh,
            faults=faults,
            on_progress=lambda done, total: bars.part("history", done, total),
        )
    made = "its database was created" if info.generated else "its database already existed"
    tell(info, json, f"The sandbox is up; {made}. Its URL is SHOP_DATABASE_URL in {folder / '.env'}.")


@app.command("down")
def down(
    destroy: Annotated[bool, typer.Option("--destroy", help="Also delete the database.")] = False,
    json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Stop the servers. The database is kept unless --destroy is given."""
    folder = project(root)
    from data_platform.sandbox import down as stop

    with progress("stopping the sandbox"):
        info = stop(folder, destroy=destroy)
    tell(
        info,
        json,
        "The sandbox is down" + (" and its database removed." if destroy else ", its database kept."),
    )


@app.command("status")
def status(json: JsonOption = False, root: RootOption = None) -> None:
    """Show whether the servers run and what they hold. The exit code is 6 if the database is down."""
    folder = project(root)
    from data_platform.sandbox import status as look

    info = look(folder)
    tell(
        info,
        json,
        "The sandbox is up." if info.running else "The sandbox is down. Start it: data-platform sandbox up",
    )
    if not info.running:
        raise typer.Exit(SandboxError.exit_code)


@app.command("traffic")
def traffic(
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="How long to run.")] = 60.0,
    rate: Annotated[float, typer.Option("--rate", min=0.1, help="Transactions a second.")] = 20.0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed produces the same traffic.")] = 1,
    webhooks: Annotated[
        str | None,
        typer.Option(
            "--webhooks",
            metavar="URL",
            help="Let the sandbox's Stripe send what happens there, signed, from now on.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Simulate live traffic: inserts, updates, deletes, transactions that commit late."""
    folder = project(root)
    from data_platform.sandbox import deliver, delivered
    from data_platform.sandbox import status as look
    from data_platform.sandbox import traffic as play

    info = look(folder)
    if info.url is None:
        raise SandboxError("The sandbox is not running: start it with `data-platform sandbox up`.")
    with progress("simulating live traffic", total=seconds) as bars:
        if webhooks is not None:
            deliver(folder, webhooks)
        summary = play(info.url, seconds, rate, seed, bars.done)
    counts = fields(summary)
    if webhooks is not None:
        with progress("waiting for the webhooks"):
            counts["webhooks"] = fields(delivered(folder, webhooks))
    if json:
        say_json(counts)
        return
    for name, value in counts.items():
        if isinstance(value, dict):
            say(
                f"{name.replace('_', ' ')}: {', '.join(f'{count:,} {kind}' for kind, count in value.items())}"
            )
        else:
            say(f"{name.replace('_', ' ')}: {value:,}" if isinstance(value, int) else f"{name}: {value:.1f}")


def tell(info: SandboxInfo, json: bool, headline: str) -> None:
    shown = fields(info)
    if json:
        say_json(shown)
        return
    say(headline)
    for name in ("url", "orders", "seed", "today", "home"):
        if info.running and shown[name] is not None:
            value = shown[name]
            say(f"  {name}: {f'{value:,}' if name == 'orders' else value}")
    for name, url in info.services.items():
        say(f"  {name}: {url}")
    for note in info.notes:
        remark(note)


def fields(value: Any) -> dict[str, Any]:
    """A dataclass as JSON values. Passwords are left out of URLs: they stay in .env."""
    return {key: plain(item) for key, item in dataclasses.asdict(value).items()}


def plain(item: Any) -> Any:
    if isinstance(item, (list, tuple)):
        return [plain(one) for one in item]
    if isinstance(item, dict):
        return {str(key): plain(one) for key, one in item.items()}
    if isinstance(item, str):
        return re.sub(r"(?<=://)([^:@/]+):[^@/]*@", r"\1@", item)
    return str(item) if isinstance(item, (Path, datetime)) or hasattr(item, "isoformat") else item
