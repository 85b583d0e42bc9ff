"""`python -m data_platform.defs.demo`: the whole graph once, and what came of it (`make demo`).

Runs the job `everything` in this process and records it in DAGSTER_HOME, so that
`make dev` shows it afterwards.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any


def main() -> int:
    """0 when every table synced and every model was built; failing rules are shown, not fatal."""
    warnings.simplefilter("ignore")
    import dagster as dg
    from dotenv import load_dotenv
    from rich.console import Console

    from data_platform.catalog import load_catalog, project_root
    from data_platform.defs.build import build
    from data_platform.defs.jobs import EVERYTHING

    console = Console()
    root = project_root()
    load_dotenv(root / ".env", override=False)
    os.environ.setdefault("DAGSTER_HOME", str(root / ".dagster"))
    (root / ".dagster").mkdir(exist_ok=True)
    started = time.monotonic()
    console.print("Syncing every table, building and testing every model. The log is in the UI afterwards.")
    with dg.DagsterInstance.get() as instance:
        result = (
            build(load_catalog(root), os.environ.get("DATA_PLATFORM_ENV") or "local")
            .resolve_job_def(EVERYTHING)
            .execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                tags={".dagster/repository": "__repository__@data_platform"},
            )
        )
    _show(console, result)
    console.print(f"\n{'Green' if result.success else 'Not green'} after {time.monotonic() - started:.0f} s.")
    _next(console)
    return 0 if result.success else 1


def _show(console: Any, result: Any) -> None:
    from dagster import AssetMaterialization

    made: dict[tuple[str, ...], AssetMaterialization] = {}
    for event in result.all_events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            made[tuple(event.asset_key.path)] = event.materialization
    synced = [
        (
            "/".join(key[1:]),
            *(_value(m, name) for name in ("rows", "dagster/row_count", "seconds", "watermark_after")),
        )
        for key, m in sorted(made.items())
        if key[0] == "raw"
    ]
    models = [
        (key[0], key[-1], _value(m, "dagster/row_count"))
        for key, m in sorted(made.items())
        if key[0] not in ("raw", "_data_platform")
    ]
    _table(console, "Synced", ("table", "rows read", "rows in the warehouse", "seconds", "watermark"), synced)
    _table(console, "Modelled", ("layer", "model", "rows"), models)
    checks = result.get_asset_check_evaluations()
    bad = [(e.asset_key.to_user_string(), e.check_name, e.description or "") for e in checks if not e.passed]
    console.print(f"\n[bold]Checked[/bold]  {len(checks) - len(bad)} of {len(checks)} checks pass")
    if bad:
        _table(console, "Found in the data", ("table", "check", "what"), bad)
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            failure = event.step_failure_data
            text = failure.user_failure_data and failure.user_failure_data.description
            console.print(f"[red]{event.step_key}[/red]: {text or failure.error.message}", soft_wrap=True)


def _value(materialization: Any, name: str) -> str:
    value = materialization.metadata.get(name)
    if value is None:
        return ""
    return f"{value.value:,}" if isinstance(value.value, int | float) else str(value.value)


def _table(console: Any, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(("rows", "seconds"))
        table.add_column(column, justify="right" if right else "left", style=None, header_style="dim")
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(table)


def _next(console: Any) -> None:
    console.print(
        "\nNext:\n"
        "  make dev                                      the graph in the Dagster UI\n"
        '  data-platform query "select * from marts.daily_revenue limit 10"\n'
        "  data-platform sandbox traffic                 live business against the source\n"
        "  data-platform sync                            read what it changed\n"
        "  data-platform discover --url-env NAME --source SOURCE   your own database\n"
    )


if __name__ == "__main__":
    sys.exit(main())
