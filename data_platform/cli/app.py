"""The command tree, and how it ends: exit codes and one readable paragraph for an error.

What a command does is in its own module; what its exit codes mean is documented
in docs/cli.md and comes from ``errors.py``.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from data_platform.cli import (
    backup,
    catalog,
    doctor,
    query,
    rebuild,
    restore,
    sandbox,
    status,
    summary,
    sync,
    verify,
)
from data_platform.cli.interrupts import EXIT_CODE, MESSAGE, watched
from data_platform.cli.output import error_fields, say_error, say_json
from data_platform.errors import DataPlatformError

DEFECT_EXIT_CODE = 70
"""sysexits' EX_SOFTWARE: an exception nobody meant to raise."""

app = typer.Typer(
    name="data-platform",
    help="Sync every source into one checked warehouse, look at it, and keep it true.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # typer's boxed help imports Markdown and Pygments: 0.4 s of CPU
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("validate", short_help="Check the catalog, every mistake at once")(catalog.validate)
app.command("discover", short_help="Draft the YAML of a database")(catalog.discover)
app.command("sync", short_help="Bring what changed into the warehouse")(sync.sync)
app.command("status", short_help="Show how far each table is, and whether it is fresh")(status.status)
app.command("query", short_help="Ask the warehouse a question, read-only")(query.query)
app.command("verify", short_help="Read again what was landed, and compare its hashes")(verify.verify)
app.command("rebuild", short_help="Make the raw tables from the landing ledger, as of any instant")(
    rebuild.rebuild
)
app.command("doctor", short_help="Check what the platform leans on, and say what to do")(doctor.doctor)
app.command("summary", short_help="Say what was synced, modelled and checked")(summary.summary)
app.add_typer(backup.app, name="backup", short_help="Verified second copies of the warehouse")
app.add_typer(restore.app, name="restore", short_help="Bring a backup back, and prove it")
app.add_typer(sandbox.app, name="sandbox", short_help="A company's database in a box")


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
    with watched() as interrupt:
        try:
            app(args=list(argv), prog_name="data-platform")
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except KeyboardInterrupt:
            code = EXIT_CODE
        except Exception as error:
            _debug()
            code = EXIT_CODE if interrupt.came else _failed(error, argv)
        if not interrupt.came:
            return code
    say_error(MESSAGE)
    return EXIT_CODE


def _failed(error: Exception, argv: Sequence[str]) -> int:
    """Say why a command ended with ``error``; the exit code for it."""
    if not isinstance(error, DataPlatformError):
        say_error(
            f"An error nobody foresaw: {type(error).__name__}. Nothing that was committed is lost; running"
            " the same command again is safe. Set DATA_PLATFORM_DEBUG=1 to see where it comes from."
        )
        return DEFECT_EXIT_CODE
    if "--json" in argv:
        say_json({"ok": False, "error": error_fields(error)}, indent=None)
    say_error(str(error))
    return error.exit_code


def _debug() -> None:
    if os.environ.get("DATA_PLATFORM_DEBUG") == "1":
        traceback.print_exc(file=sys.stderr)
