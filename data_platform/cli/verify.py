"""``verify``: whether landed data is still what was written; ``landing`` decides what is checked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import plural, progress, remark, say, say_error, say_json, size
from data_platform.cli.sync import choose
from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.tables import TableId

if TYPE_CHECKING:
    from data_platform.backups.heal import Healed
    from data_platform.landing.orphans import Collection
    from data_platform.landing.replaced import Replaced
    from data_platform.landing.verify import Verification

SAMPLE = 0.05
GRACE_HOURS = 24.0
DAMAGED = 1
"""The exit code when something is damaged."""


@dataclass(frozen=True)
class Outcome:
    """The result of one table. ``orphans`` and ``replaced`` are None if they were not requested or the ledger is
    damaged; ``replaced`` also if the catalog has no rule for the table. ``healed`` is what was put back before the
    verification, which is then the second one."""

    verification: Verification
    orphans: Collection | None
    replaced: Replaced | None
    healed: Healed | None = None


def verify(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE[/TABLE]]...", help="What to verify. Default: every table."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DATE|BATCH",
            help="Read every batch committed on or after this day (UTC), or after this batch; 0 reads all."
            " Default: all batches since the last verification.",
        ),
    ] = None,
    sample: Annotated[
        float,
        typer.Option("--sample", metavar="SHARE", min=0, max=1, help="Share of the older batches to read."),
    ] = SAMPLE,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", help="The same seed reads the same sample. Default: a random one."
        ),
    ] = None,
    collect_orphans: Annotated[
        bool,
        typer.Option(
            "--collect-orphans", help="Also find parts that belong to no batch; --yes deletes them."
        ),
    ] = False,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", metavar="HOURS", min=0, help="Delete only orphans first seen at least this long ago."
        ),
    ] = GRACE_HOURS,
    collect_replaced: Annotated[
        bool,
        typer.Option(
            "--collect-replaced",
            help="Also find parts that were replaced by a full read more than keep_replaced_days ago;"
            " --yes deletes them.",
        ),
    ] = False,
    heal: Annotated[
        bool,
        typer.Option(
            "--heal",
            help="Put back what is missing or altered from the backup store or a copy, proven by its hash, and verify again.",
        ),
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Accept that the newest batches of these tables are lost and continue from the last one present."
            " Rereads everything.",
        ),
    ] = False,
    sign: Annotated[
        bool,
        typer.Option(
            "--sign",
            help="Reread the whole ledgers of these tables and, if nothing is wrong, sign the batches that landed"
            " before there was a key.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete what is found instead of only counting it.")
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Reread landed data and compare it with its hashes.

    By default, this reads everything since the last verification and a sample of what is older.
    """
    if yes and not (collect_orphans or collect_replaced):
        raise typer.BadParameter("--yes requires --collect-orphans or --collect-replaced.")
    if accept_loss and not targets:
        raise typer.BadParameter("--accept-loss requires the names of the tables whose loss is accepted.")
    if heal and (accept_loss or sign):
        raise typer.BadParameter("--heal cannot be combined with --accept-loss or --sign. Heal first.")
    if sign and not targets:
        raise typer.BadParameter("--sign requires the names of the tables whose ledgers are to be signed.")
    start = parse_since(since) if since is not None else None
    platform = open_project(root, environment)
    if sign and not platform.signer.signs:
        platform.signer.ready()
        raise ConfigurationError(
            f"There is no key to sign with: set the environment variable {platform.signer.variable}"
            " (`openssl rand -hex 32`)."
        )
    from data_platform.audit.event import Event
    from data_platform.landing import orphans, replaced
    from data_platform.landing.verify import forget
    from data_platform.landing.verify import sign as sign_table
    from data_platform.landing.verify import verify as verify_table
    from data_platform.sync.healing import heal_inboxes, heal_table
    from data_platform.sync.load import loaded_marks

    chosen = choose(platform.catalog, targets or ())
    tables = [TableId(source, name) for source, names in chosen.items() for name in names]
    drawn = secrets.randbelow(10**6) if seed is None else seed
    outcomes: list[Outcome] = []
    marks = {}
    try:
        marks = loaded_marks(platform)
    except WarehouseError as error:
        remark(f"The warehouse could not be compared with the ledger: {error}")
    with progress("verifying", total=len(tables)) as bars:
        for table in tables:
            name = str(table)
            if accept_loss:
                forget(platform.ledger, table)
            advance = partial(bars.part, name)
            mark = None if accept_loss else marks.get(table)
            look = partial(
                verify_table,
                platform.ledger,
                table,
                platform.clock(),
                since=start,
                sample=sample,
                seed=drawn,
                progress=advance,
                loaded=mark,
            )
            healed = None
            if sign:
                found = sign_table(platform.ledger, table, platform.clock(), progress=advance, loaded=mark)
            else:
                found = look()
                if heal and (found.problems or not found.last):
                    healed = heal_table(platform, table, found.damaged, mark)
                    found = look() if healed.objects else found
            collected = None
            if collect_orphans and not found.problems:
                hours = timedelta(hours=grace)
                collected = orphans.collect(platform.ledger, table, platform.clock(), hours, remove=yes)
            expired = None
            days = platform.catalog.table(table).keep_replaced_days
            if collect_replaced and days is not None and not found.problems:
                keep = timedelta(days=days)
                collect = partial(replaced.collect, platform.ledger, table, platform.clock(), keep)
                expired = collect(remove=False)
                if yes:
                    details = {"keep_replaced_days": days, "parts": len(expired.parts)}
                    rule = platform.trail.audited(Event("retention", (name,), details=details))
                    with rule if expired.parts else nullcontext():
                        expired = collect(remove=True)
            outcomes.append(Outcome(found, collected, expired, healed))
            bars.part_done(name)
            bars.step()
            if not json:
                tell(outcomes[-1], removed=yes, asked=collect_orphans)

    damaged = sum(bool(outcome.verification.problems) for outcome in outcomes)
    broken = {outcome.verification.table.source for outcome in outcomes if outcome.verification.problems}
    inboxes = heal_inboxes(platform, chosen.keys() - broken) if heal else None
    if json:
        document = [fields(outcome, removed=yes) for outcome in outcomes]
        name = platform.environment.name
        said = {"ok": not damaged, "environment": name, "sample": sample, "seed": drawn, "tables": document}
        say_json({**said, "inboxes": healed_fields(inboxes)})
    else:
        if inboxes is not None:
            tell_healed(inboxes)
        tell_problems(outcomes)
        remark(
            f"{plural(len(outcomes) - damaged, 'table')} intact, {damaged} damaged; {sample:.0%} of the older batches were read"
            f" (--seed {drawn})."
        )
    if damaged:
        raise typer.Exit(DAMAGED)


def parse_since(text: str) -> int | datetime:
    """``120`` is the number of a batch, ``2026-01-31`` the start of that day in UTC."""
    if text.isdecimal() and len(text) < 8:  # eight digits are a day without its dashes
        return int(text)
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day (2026-01-31) or the number of a batch.") from None


def tell(outcome: Outcome, *, removed: bool, asked: bool) -> None:
    """One table's line, and one for its orphans."""
    found = outcome.verification
    head = f"{found.table}: {plural(found.manifests, 'manifest')}, {plural(found.parts, 'part')}"
    say(
        f"{head}, {size(found.bytes)} hashed, {plural(len(found.problems), 'problem')}, {signed(found)}"
        f" ({found.seconds:.1f} s)"
    )
    if outcome.healed is not None:
        tell_healed(outcome.healed)
    if outcome.replaced is not None and outcome.replaced.parts:
        what = f"{plural(len(outcome.replaced.parts), 'replaced part')}, {size(outcome.replaced.bytes)}"
        kept = f"; it can be rebuilt as of {outcome.replaced.kept_since:%Y-%m-%d %H:%M} UTC or later"
        say(f"  {what} deleted{kept}" if removed else f"  {what} would be deleted with --yes{kept}")
    if outcome.orphans is None:
        if asked:
            remark("  orphans are not collected while the table is damaged")
        return
    collected = outcome.orphans
    if collected.ripe:
        what = f"{plural(len(collected.ripe), 'orphan')}, {size(collected.bytes)}"
        say(f"  {what} deleted" if removed else f"  {what} would be deleted with --yes")
    if collected.waiting:
        remark(f"  {plural(len(collected.waiting), 'orphan')} within the grace period")


def tell_healed(healed: Healed) -> None:
    for key, archive in healed.objects:
        say(f"  {key} was put back from {archive}")
    for line in healed.failed:
        say_error(f"  not healed from {line}")


def healed_fields(healed: Healed | None) -> dict[str, Any] | None:
    if healed is None:
        return None
    return {
        "objects": [{"key": key, "archive": archive} for key, archive in healed.objects],
        "bytes": healed.bytes,
        "failed": list(healed.failed),
    }


def signed(found: Verification) -> str:
    if found.signed_from is None:
        return "not signed"
    return "signed" if found.signed_from == 1 else f"signed from batch {found.signed_from} on"


def tell_problems(outcomes: Sequence[Outcome]) -> None:
    """Print what is damaged, at the end, where people look."""
    for outcome in outcomes:
        for problem in outcome.verification.problems:
            say_error(problem)


def fields(outcome: Outcome, *, removed: bool) -> dict[str, Any]:
    """A table of ``verify --json``, as docs/cli.md describes it."""
    found, collected, expired = outcome.verification, outcome.orphans, outcome.replaced
    return {
        "table": str(found.table),
        "ok": not found.problems,
        "since": found.since,
        "last": found.last,
        "manifests": found.manifests,
        "parts": found.parts,
        "bytes": found.bytes,
        "seconds": round(found.seconds, 3),
        "signed_from": found.signed_from,
        "problems": list(found.problems),
        "orphans": None
        if collected is None
        else {
            "ripe": [asdict(orphan) for orphan in collected.ripe],
            "waiting": [asdict(orphan) for orphan in collected.waiting],
            "unlanded": list(collected.unlanded),
            "deleted": removed,
        },
        "healed": healed_fields(outcome.healed),
        "replaced": None
        if expired is None
        else {
            "kept_from": expired.kept_from,
            "kept_since": expired.kept_since.isoformat() if expired.kept_since else None,
            "parts": len(expired.parts),
            "bytes": expired.bytes,
            "deleted": removed,
        },
    }
