"""``summary``: the result of a whole run (``make demo``): synced, modelled, checked, and what to do next.

Reads the ledger, the warehouse and dbt's run results. Only the orchestrator knows the
results of its checks. They are passed as JSON, so that nothing here imports it:

    {"run_url": "http://...", "passed": 80, "failing": [
        {"check": "raw/shop/users: age_between_0_and_150", "severity": "WARN",
         "numbers": {"failing rows": 12}}]}
"""

from __future__ import annotations

import json as json_module
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.alerts.config import ui_address
from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import plural, say, say_json, say_table, size
from data_platform.cli.status import look_at_publication
from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.sync.status import ask_warehouse, look
from data_platform.warehouses import PLATFORM_SCHEMA
from data_platform.warehouses.dialect import counts
from data_platform.warehouses.journal import GOVERNANCE_SCHEMA, JOURNAL_SCHEMA

if TYPE_CHECKING:
    from data_platform.sync import Platform

RECONCILED = "marts.stripe_reconciliation"
ONE_RUN = timedelta(hours=1)
"""dbt writes one result file per invocation; those within this time before the newest belong to one run."""


@dataclass(frozen=True, slots=True)
class Synced:
    """``rows`` are loaded, ``batches`` are landed; ``rows`` is None before the first load. ``failure`` says why the table
    could not be read since then."""

    table: str
    rows: int | None
    batches: int
    bytes: int
    batch_id: str | None
    failure: str | None = None

    @property
    def source(self) -> str:
        return self.table.partition("/")[0]

    @property
    def problem(self) -> str | None:
        return self.failure or (None if self.rows is not None else "nothing of it is loaded")


@dataclass(frozen=True, slots=True)
class Modelled:
    """``rows`` is None for a view: counting one may cost a scan."""

    relation: str
    kind: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class Failing:
    check: str
    severity: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """``ok`` is true if everything is synced and nothing failed with severity ERROR."""

    ok: bool
    environment: str
    synced: tuple[Synced, ...]
    modelled: tuple[Modelled, ...]
    dbt_failed: tuple[str, ...]
    dbt_tests_passed: int
    checks_passed: int | None
    failing: tuple[Failing, ...]
    run_url: str | None
    warehouse_error: str | None
    sources: Mapping[str, str] = field(default_factory=dict)
    """Each source's name and its kind in words."""
    not_configured: tuple[str, ...] = ()
    """A sentence for each source that is left out."""
    publication: str | None = None
    """What the copy for readers holds, where and how old it is."""


def summary(
    checks: Annotated[
        Path | None,
        typer.Option(
            "--checks",
            metavar="FILE",
            help="JSON file with the asset checks of a run, as make demo writes it; see docs/cli.md.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show what was synced, modelled and checked, and which commands to run next."""
    platform = open_project(root, environment)
    found = gather(platform, read_checks(checks) if checks else None)
    if json:
        say_json(asdict(found))
    else:
        tell(found, ui_address(platform.environment.alerts, platform.environ))
    if not found.ok:
        raise typer.Exit(1)


def show(platform: Platform, checks: Mapping[str, Any] | None = None, backed_up: Sequence[str] = ()) -> bool:
    """Print the summary; returns ``Summary.ok``. For ``make demo``, which adds lines about the backup
    that it made."""
    found = gather(platform, checks)
    into = "restored.duckdb" if platform.environment.warehouse.traits.in_files else "restored"
    tell(found, ui_address(platform.environment.alerts, platform.environ), backed_up, into)
    return found.ok


def gather(platform: Platform, checks: Mapping[str, Any] | None = None) -> Summary:
    """Everything the summary shows. ``checks`` has the shape of this module's description."""
    tables = list(platform.catalog.table_ids())
    loaded, trouble = ask_warehouse(platform, tables)
    looks, now = platform.ledger.looks(), datetime.now(UTC)
    synced = []
    for table in tables:
        found = look(platform, table, loaded, now, looks)
        head, mine = found.head, found.loaded
        synced.append(
            Synced(
                table=str(table),
                rows=mine.rows if mine else None,
                batches=head.sequence if head else 0,
                bytes=head.bytes if head else 0,
                batch_id=head.batch_id if head else None,
                failure=found.error or found.failure,
            )
        )
    modelled: list[Modelled] = []
    if trouble is None:
        try:
            modelled = models(platform)
        except WarehouseError as error:
            trouble = error
    results = dbt_results(platform.catalog.root / "dbt" / "target")
    dbt_failed = sorted(
        name for name, status in results.items() if status in ("error", "fail", "runtime error")
    )
    failing = tuple(
        Failing(str(one["check"]), str(one.get("severity", "ERROR")).upper(), one.get("numbers", {}))
        for one in (checks or {}).get("failing", ())
    )
    return Summary(
        ok=trouble is None
        and all(one.problem is None for one in synced)
        and not dbt_failed
        and all(one.severity != "ERROR" for one in failing),
        environment=platform.environment.name,
        synced=tuple(synced),
        modelled=tuple(modelled),
        dbt_failed=tuple(dbt_failed),
        dbt_tests_passed=sum(
            name.startswith(("test.", "unit_test.")) and status in ("pass", "success")
            for name, status in results.items()
        ),
        checks_passed=int(checks["passed"]) if checks else None,
        failing=failing,
        run_url=checks.get("run_url") if checks else None,
        warehouse_error=str(trouble) if trouble else None,
        sources={name: source.of_kind.title for name, source in platform.catalog.sources.items()},
        not_configured=tuple(platform.catalog.absences()),
        publication=look_at_publication(platform, now).line,
    )


def models(platform: Platform) -> list[Modelled]:
    """The relations in the warehouse, except the raw tables and those of the platform."""
    others = {PLATFORM_SCHEMA, JOURNAL_SCHEMA, GOVERNANCE_SCHEMA, "information_schema", "main"}
    with platform.warehouse(read_only=True) as warehouse:
        relations = [
            one
            for one in warehouse.describe()
            if one.schema not in others and not one.schema.startswith("raw_")
        ]
        stored = [one for one in relations if "view" not in one.kind.lower()]
        found: dict[int, int] = {}
        if stored:
            sql = counts(warehouse.dialect, [(one.schema, one.name) for one in stored])
            found = dict(warehouse.query(sql).rows)
    rows = {(one.schema, one.name): found[number] for number, one in enumerate(stored)}
    return [
        Modelled(
            f"{one.schema}.{one.name}",
            "view" if "view" in one.kind.lower() else "table",
            rows.get((one.schema, one.name)),
        )
        for one in sorted(relations, key=lambda one: (one.schema, one.name))
    ]


def dbt_results(target: Path) -> dict[str, str]:
    """Unique id to status in the newest run under ``target``, where the orchestrator gives every
    invocation its own folder. Unreadable files are left out."""
    files: list[tuple[datetime, Mapping[str, Any]]] = []
    for path in target.rglob("run_results.json"):
        try:
            document = json_module.loads(path.read_bytes())
            files.append((datetime.fromisoformat(document["metadata"]["generated_at"]), document))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    files.sort(key=lambda pair: pair[0])
    results: dict[str, str] = {}
    for at, document in files:
        if files[-1][0] - at <= ONE_RUN:
            results |= {one["unique_id"]: one["status"] for one in document.get("results", ())}
    return results


def read_checks(path: Path) -> Mapping[str, Any]:
    try:
        document = json_module.loads(path.read_bytes())
        int(document["passed"])
        if not all(isinstance(one["check"], str) for one in document.get("failing", ())):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"{path} is not a file of check results: it needs `passed`, a number, and `failing`, a list of"
            " objects with `check` and `severity` (see docs/cli.md)."
        ) from None
    return dict(document)


def tell(found: Summary, ui_url: str, backed_up: Sequence[str] = (), restore_into: str = "") -> None:
    heading("Synced")
    say_table(
        ["source", "kind", "tables", "rows", "size"],
        source_rows(found),
        right=("tables", "rows", "size"),
    )
    for line in problems(found.synced):
        say("  " + line, style="red")
    for sentence in found.not_configured:
        say("  " + sentence, style="dim")
    if found.modelled:
        heading("Modelled")
        say_table(
            ["relation", "kind", "rows"],
            [
                [one.relation, one.kind, f"{one.rows:,}" if one.rows is not None else "-"]
                for one in found.modelled
            ],
            right=("rows",),
        )
    heading("Checked")
    for line in checked_lines(found):
        say("  " + line)
    if found.warehouse_error:
        say("  " + found.warehouse_error, style="red")
    if found.publication:
        heading("Published")
        say(f"  {found.publication}")
        say("  BI tools open it read-only, while the platform loads too: docs/publish.md", style="dim")
    if backed_up:
        heading("Backed up")
        for line in backed_up:
            say("  " + line)
    say()
    say(*verdict(found))
    heading("Next")
    for command, what in next_steps(found, ui_url, restore_into if backed_up else ""):
        say(f"  {command}")
        say(f"      {what}", style="dim")


def problems(synced: Sequence[Synced]) -> list[str]:
    """What keeps tables from being synced; a line for all tables of a source that have the same problem."""
    together: dict[tuple[str, str], list[str]] = {}
    for one in synced:
        if one.problem:
            together.setdefault((one.source, one.problem), []).append(one.table)
    lines = []
    for (_, problem), tables in together.items():
        others = f" and {plural(len(tables) - 1, 'other table')}" if len(tables) > 1 else ""
        lines.append(f"{tables[0]}{others}: {problem}")
    return lines


def source_rows(found: Summary) -> list[list[str]]:
    """A line for each source: how many of its tables are synced, their rows, and the bytes of their newest batches."""
    lines = []
    for source in dict.fromkeys(one.source for one in found.synced):
        tables = [one for one in found.synced if one.source == source]
        good = sum(one.problem is None for one in tables)
        lines.append(
            [
                source,
                found.sources.get(source, ""),
                str(good) if good == len(tables) else f"{good} of {len(tables)}",
                f"{sum(one.rows or 0 for one in tables):,}",
                size(sum(one.bytes for one in tables)),
            ]
        )
    return lines


def verdict(found: Summary) -> tuple[str, str]:
    """The last line, and its colour."""
    if not found.ok:
        return "Not everything is green: see above.", "bold red"
    if found.checks_passed is None and not found.dbt_tests_passed:
        return "Everything is synced; models and checks have not run yet: make demo.", "bold yellow"
    return "Everything is green.", "bold green"


def checked_lines(found: Summary) -> list[str]:
    lines = []
    if found.checks_passed is not None:
        lines.append(f"{plural(found.checks_passed, 'check')} passed, {len(found.failing)} failed")
    for one in found.failing:
        numbers = ", ".join(f"{name} {value}" for name, value in one.numbers.items())
        lines.append(f"{one.severity} {one.check}" + (f" ({numbers})" if numbers else ""))
    if found.dbt_tests_passed:
        lines.append(f"{plural(found.dbt_tests_passed, 'dbt test')} passed")
    lines += [f"dbt: {name} failed" for name in found.dbt_failed]
    return lines or ["no checks have run yet"]


def next_steps(found: Summary, ui_url: str, restore_into: str = "") -> list[tuple[str, str]]:
    """The commands to run next, in the form that works in this shell, and what each one is for. ``restore_into``
    names a warehouse that a backup may be restored into, if there is a backup."""
    me = command_name()
    marts = [
        one.relation for one in found.modelled if one.kind == "table" and one.relation.startswith("marts.")
    ]
    relation = "marts.daily_revenue" if "marts.daily_revenue" in marts else next(iter(marts), None)
    steps = [("make dev", f"open the graph, its runs and checks at {ui_url}")]
    if found.run_url:
        steps.append((found.run_url, "this run, once make dev is up"))
    if relation:
        steps.append((f'{me} query "from {relation} limit 10"', "query the warehouse, read-only"))
    if RECONCILED in marts:
        steps.append(
            (
                f'{me} query "select status, count(*) from {RECONCILED} group by all"',
                "see whether Stripe and the shop's books agree, order by order",
            )
        )
    if restore_into:
        steps.append(
            (
                f"{me} restore warehouse --into {restore_into}",
                "restore the warehouse from the backup, proven equal",
            )
        )
    steps += [
        (
            f"{me} sandbox traffic --seconds 30 && {me} sync",
            "simulate live traffic, and sync only what it changed",
        ),
        (f"{me} status", "see what is loaded of each table, and whether it is fresh"),
        (
            f"{me} discover --url-env MY_DATABASE_URL --source mine --write",
            "add your own database: read the drafted YAML, confirm its question marks, then sync."
            " README.md says it of Stripe, Google Analytics, Zendesk and files",
        ),
    ]
    return steps


def command_name() -> str:
    """``data-platform`` if this name runs this installation in the user's shell, else its path."""
    here = Path(sys.prefix) / "bin" / "data-platform"
    found = shutil.which("data-platform")
    # make puts .venv/bin on the path of its commands; the calling shell has it there only if the
    # environment is activated.
    known = os.environ.get("VIRTUAL_ENV") == sys.prefix or "MAKELEVEL" not in os.environ
    if found and known and Path(found).samefile(here):
        return "data-platform"
    shown = os.path.relpath(here)
    return str(here) if shown.startswith("..") else shown


def heading(text: str) -> None:
    say()
    say(text, style="bold")
