"""`python -m data_platform.defs.demo`: runs the whole graph once and prints the result (`make demo`).

Runs the jobs `everything` and `backup` in this process and records them in DAGSTER_HOME, so that
`make dev` shows them afterwards. At the end it prints the output of `data-platform summary`.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
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
    from data_platform.defs.status_page import refresh
    from data_platform.private_files import keep_private
    from data_platform.sync import open_platform

    keep_private()
    root = project_root()
    load_dotenv(root / ".env", override=False)
    os.environ.setdefault("DAGSTER_HOME", str(root / ".dagster"))
    (root / ".dagster").mkdir(exist_ok=True)
    platform = open_platform(root)
    started = time.monotonic()
    print("Syncing every table, building and testing every model, evaluating every check.", flush=True)
    definitions = build(platform.catalog, platform.environment.name)

    def run(job: str, **arguments: Any) -> Any:
        result = definitions.resolve_job_def(job).execute_in_process(
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
        page = None
        if platform.environment.status_page is not None:  # the backup came after the page of the run
            _, page = refresh(instance, platform, [definitions])
    told = backup_lines(platform) if backed_up is not None and backed_up.success else []
    green = (
        show(platform, checks(result), told) and result.success and (backed_up is None or backed_up.success)
    )
    print(f"\n{'Green' if green else 'Not green'} after {time.monotonic() - started:.0f} s.")
    if page is not None:
        print(f"See how far it can be believed, and the first charts: {page.as_uri()}")
    return 0 if green else 1


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
