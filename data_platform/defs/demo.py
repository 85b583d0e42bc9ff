"""`python -m data_platform.defs.demo`: runs the whole graph once and prints the result (`make demo`).

Runs the jobs `everything` and `backup`, and what backs up and recovers the sources' databases, in this process and records them in DAGSTER_HOME, so that
`make dev` shows them afterwards. At the end it prints the output of `data-platform summary`.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any


def main() -> int:
    """0 when every table synced and every model was built; failing rules are shown, not fatal."""
    warnings.simplefilter("ignore")
    import dagster as dg
    from dotenv import load_dotenv

    from data_platform.catalog import project_root
    from data_platform.cli.summary import show
    from data_platform.defs.backup import JOB as BACKUP
    from data_platform.defs.build import build
    from data_platform.defs.jobs import EVERYTHING
    from data_platform.defs.purposes import exportable
    from data_platform.defs.status_page import refresh
    from data_platform.private_files import keep_private
    from data_platform.sync import open_platform

    keep_private()
    root = project_root()
    load_dotenv(root / ".env", override=False)
    os.environ.setdefault("DAGSTER_HOME", str(root / ".dagster"))
    (root / ".dagster").mkdir(exist_ok=True)
    platform = open_platform(root, exportable=exportable)
    started = time.monotonic()
    print("Syncing every table, building and testing every model, evaluating every check.", flush=True)
    definitions = build(platform.catalog, platform.environment.name)

    def run(job: Any, **arguments: Any) -> Any:
        resolved = definitions.resolve_job_def(job) if isinstance(job, str) else job
        result = resolved.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            tags={".dagster/repository": "__repository__@data_platform"},
            **arguments,
        )
        tell_failures(result)
        return result

    with dg.DagsterInstance.get() as instance:
        result = run(EVERYTHING)
        backed_up = None
        if platform.environment.backups is not None:
            print("Backing up the warehouse and reading back every byte.", flush=True)
            backed_up = run(BACKUP, partition_key=datetime.now(UTC).date().isoformat())
        recovered = []
        if backed_up is not None and backed_up.success:
            recovered = [run(job, **given) for job, given in recoveries(definitions, platform)]
        erased, watched = [], []
        if all(one.success for one in [result, *recovered]):
            erased = erase_somebody(platform)
            watched = [run(job) for job in watching(definitions)]
        page = None
        if platform.environment.status_page is not None:  # the backup came after the page of the run
            _, page = refresh(instance, platform, [definitions])
    told = backup_lines(platform) if backed_up is not None and backed_up.success else []
    told += [line for one in recovered for line in recovery_lines(one)] + erased
    ran = [result, *([backed_up] if backed_up is not None else []), *recovered, *watched]
    green = show(platform, checks(result), told) and all(one.success for one in ran)
    print(f"\n{'Green' if green else 'Not green'} after {time.monotonic() - started:.0f} s.")
    if page is not None:
        print(f"See how far it can be believed, and the first charts: {page.as_uri()}")
    return 0 if green else 1


def recoveries(definitions: Any, platform: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The jobs, one after the other, that back up the sources' databases, receive their WAL, and recover a second of
    everything from that."""
    from data_platform.defs.database_backup import HOUR, backup_key
    from data_platform.defs.everything import WHOLE_DRILL
    from data_platform.defs.wal import wal_key
    from data_platform.sync.database_backup import backed_up, is_continuous

    sources = [source for source in backed_up(platform) if is_continuous(platform, source)]
    if not sources:
        return
    whole = definitions.resolve_implicit_global_asset_job_def()
    print("Backing up the database behind the shop, with the WAL to any second.", flush=True)
    for source in sources:
        hour = {"partition_key": datetime.now(UTC).strftime(HOUR[:-2] + "00")}
        yield whole.get_subset(asset_selection={backup_key(source)}), hour
        yield whole.get_subset(asset_selection={wal_key(source)}), {}
    print("Recovering one second of everything from the backup store, and comparing every table.", flush=True)
    yield whole.get_subset(asset_selection={WHOLE_DRILL}), {}


def erase_somebody(platform: Any) -> list[str]:
    """One customer is exported and erased, as a request of access and one of erasure ask; what the summary says of it."""
    from data_platform.defs.derived_models import derived_models
    from data_platform.sync.erasing import certificate, freeze, steps
    from data_platform.sync.subject_export import export

    if "customer" not in platform.catalog.subjects:
        return []
    customer = platform.catalog.subject("customer")
    with platform.warehouse(read_only=True) as warehouse:
        rows = warehouse.query(
            "SELECT user_id FROM raw_shop.orders GROUP BY user_id HAVING count(*) BETWEEN 2 AND 5 ORDER BY user_id DESC LIMIT 1"
        ).rows
    if not rows:
        return []
    asked = {"user_id": [str(rows[0][0])]}
    print(
        "Exporting one customer's data, then erasing it everywhere, and searching for what is left.",
        flush=True,
    )
    into = platform.catalog.root / ".data" / f"customer-{rows[0][0]}"
    written = None if into.exists() else export(platform, customer, asked, into)
    request = freeze.ask(
        platform, customer, freeze.found(platform, customer, asked), "demo request", "make demo"
    )
    done = steps.carry_out(platform, request.id, lambda: derived_models(platform))
    told = certificate.certify(platform, done)
    until = max((one.until for one in told.remains if one.until), default=None)
    lines = [f"one customer exported: {written.rows:,} rows, in {into}"] if written else []
    ends = f"; backups hold them until {until:%Y-%m-%d}" if until else ""
    return [
        *lines,
        f"and erased: {sum(request.rows.values()):,} rows of {len(request.rows)} tables{ends}"
        f" (data-platform subject certificate {request.id})",
    ]


def watching(definitions: Any) -> Iterator[Any]:
    """The job that looks after people's data each day: the graph shows the certificate then."""
    whole = definitions.resolve_implicit_global_asset_job_def()
    graph = definitions.resolve_asset_graph()
    keys = {key for key in graph.get_all_asset_keys() if graph.get(key).group_name == "privacy"}
    if keys:
        yield whole.get_subset(asset_selection=keys)


def recovery_lines(result: Any) -> list[str]:
    """What the summary says of a run of ``recoveries``."""
    from data_platform.cli.output import size
    from data_platform.defs.everything import WHOLE_DRILL

    lines = []
    for event in result.get_asset_materialization_events():
        found = {name: one.value for name, one in event.materialization.metadata.items()}
        path = event.asset_key.path
        if path[:2] == ["backup", "database"]:
            lines.append(f"the database of {path[2]}, {size(found['bytes'])}, in {found['seconds']:.1f} s")
        elif event.asset_key == WHOLE_DRILL and not found["mismatches"]:
            lines.append(
                f"recovered from it to a second, in {found['seconds']:.0f} s: {found['tables_equal']} tables with"
                f" {found['rows']:,} rows are equal in database and warehouse"
            )
    return lines


def tell_failures(result: Any) -> None:
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            failure = event.step_failure_data
            text = failure.user_failure_data and failure.user_failure_data.description
            print(f"{event.step_key}: {text or (failure.error and failure.error.message)}", file=sys.stderr)


def backup_lines(platform: Any) -> list[str]:
    """The content and the place of the newest backup."""
    from data_platform.cli.output import size
    from data_platform.sync.backup import archives

    lines = []
    for archive in archives(platform):
        manifest = archive.chosen("latest")
        lines.append(f"{manifest.rows:,} rows, {size(manifest.bytes)}, every byte read back, in {archive}")
    return lines


def checks(result: Any) -> dict[str, Any]:
    """The evaluations of a run, in the shape `data-platform summary --checks` reads."""
    evaluations = result.get_asset_check_evaluations()
    failing = [e for e in evaluations if not e.passed]
    return {
        "run_url": None,
        "passed": len(evaluations) - len(failing),
        "failing": [
            {
                "check": f"{e.asset_key.to_user_string()}: {e.check_name}",
                "severity": e.severity.value,
                "numbers": {
                    name: value.value
                    for name, value in e.metadata.items()
                    if isinstance(value.value, int | float)
                },
            }
            for e in failing
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
