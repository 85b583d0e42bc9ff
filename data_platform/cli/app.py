"""The command tree, the exit codes, and one readable paragraph for an error.

Each command is in its own module. The exit codes come from ``errors.py``; docs/cli.md
documents them.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import typer

from data_platform.cli.interrupts import EXIT_CODE, MESSAGE, watched
from data_platform.cli.output import error_fields, say_error, say_json
from data_platform.errors import DataPlatformError

DEFECT_EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: an unexpected exception."""

COMMANDS: dict[str, tuple[str, str]] = {
    "validate": ("catalog", "Check the catalog and report every mistake at once"),
    "discover": ("catalog", "Draft the catalog file of a source"),
    "sync": ("sync", "Load what changed at the sources into the warehouse"),
    "receive": ("receive", "Take signed webhooks, and keep each before it is answered"),
    "status": ("status", "Show each table's last batch and whether it is fresh"),
    "health": ("health", "Show which data can be believed, and if not, since when and why"),
    "publish": ("publish", "Publish a copy of the marts for readers, who never wait for a load"),
    "query": ("query", "Run one read-only statement in the publication or the warehouse"),
    "iceberg": ("iceberg", "Export tables to Iceberg for other engines"),
    "hash": ("hash", "Print the hash under which a value is stored"),
    "reveal": ("reveal", "Print sealed columns in clear, for a purpose that is recorded"),
    "verify": ("verify", "Reread landed data and compare it with its hashes"),
    "rebuild": ("rebuild", "Rebuild the raw tables from the landing ledger, as of any instant"),
    "maintain": ("maintain", "Merge the warehouse's small files and remove what is old"),
    "metrics": ("metrics", "Serve the health as numbers, for Prometheus or a Datadog agent"),
    "impact": ("impact", "Show what depends on a column, or what a change of the project changes"),
    "doctor": ("doctor", "Check everything the platform depends on, and say what to do"),
    "summary": ("summary", "Show what was synced, modelled and checked"),
}
"""Each command: the module that defines the function of this name, and the command's purpose."""
GROUPS: dict[str, str] = {
    "alerts": "Open incidents, and the channels that report them",
    "anomaly": "Figures that are not as the past lets expect",
    "audit": "The trail of who did what, to which data",
    "backup": "Verified second copies of the warehouse",
    "contract": "Data contracts (ODCS v3): written and read",
    "privacy": "Papers about personal data: the record of processing",
    "keystore": "The keys of sealed values",
    "quarantine": "Records that came and could not be taken",
    "recover": "Bring a database back to any second, and try what that needs",
    "restore": "Restore a backup and prove it equal",
    "retention": "What is older than its table's rule, and its removal",
    "subject": "The people that the data is about: found, exported, erased",
    "wal": "The write-ahead log of the sources' databases",
    "sandbox": "A simulated shop: a local PostgreSQL server and the services around it",
}
"""Each group of commands: the module of this name holds the group as ``app``."""


def command_tree(named: str | None = None) -> typer.Typer:
    """Every command, or only ``named`` if a command has this name: then no other command's module is imported
    and none of its parameters is built."""
    tree = typer.Typer(
        name="data-platform",
        help="Sync every source into one checked warehouse, query it, verify it and back it up.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # typer's boxed help imports Markdown and Pygments: 0.4 s of CPU
        context_settings={"help_option_names": ["--help", "-h"]},
        callback=_nothing,
    )
    known = named in COMMANDS or named in GROUPS
    for name, (module, purpose) in COMMANDS.items():
        if name == named or not known:
            tree.command(name, short_help=purpose)(getattr(_module(module), name))
    for name, purpose in GROUPS.items():
        if name == named or not known:
            tree.add_typer(_module(name).app, name=name, short_help=purpose)
    return tree


def _nothing() -> None:
    """Without a callback, Typer turns a tree of one command into that command."""


def _module(name: str) -> ModuleType:
    return import_module(f"data_platform.cli.{name}")


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
    with watched() as interrupt:
        try:
            command_tree(argv[0] if argv else None)(args=list(argv), prog_name="data-platform")
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
    """Print why a command failed with ``error``; return its exit code."""
    if not isinstance(error, DataPlatformError):
        say_error(
            f"Unexpected error: {type(error).__name__}. Nothing that was committed is lost; running"
            " the same command again is safe. Set DATA_PLATFORM_DEBUG=1 to see the stack trace."
        )
        return DEFECT_EXIT_CODE
    if "--json" in argv:
        say_json({"ok": False, "error": error_fields(error)}, indent=None)
    say_error(str(error))
    return error.exit_code


def _debug() -> None:
    if os.environ.get("DATA_PLATFORM_DEBUG") == "1":
        traceback.print_exc(file=sys.stderr)
