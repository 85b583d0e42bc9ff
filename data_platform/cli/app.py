"""The command tree, and how it ends: exit codes and one readable paragraph for an error.

What a command does is in its own module; what its exit codes mean is documented
in docs/cli.md and comes from ``errors.py``.
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
"""sysexits' EX_SOFTWARE: an exception nobody meant to raise."""

COMMANDS: dict[str, tuple[str, str]] = {
    "validate": ("catalog", "Check the catalog, every mistake at once"),
    "discover": ("catalog", "Draft the YAML of a database"),
    "sync": ("sync", "Bring what changed into the warehouse"),
    "status": ("status", "Show how far each table is, and whether it is fresh"),
    "query": ("query", "Ask the warehouse a question, read-only"),
    "verify": ("verify", "Read again what was landed, and compare its hashes"),
    "rebuild": ("rebuild", "Make the raw tables from the landing ledger, as of any instant"),
    "doctor": ("doctor", "Check what the platform leans on, and say what to do"),
    "summary": ("summary", "Say what was synced, modelled and checked"),
}
"""Each command: the module that has the function of its name, and what it is for."""
GROUPS: dict[str, str] = {
    "backup": "Verified second copies of the warehouse",
    "restore": "Bring a backup back, and prove it",
    "sandbox": "A company's database in a box",
}
"""Each group of commands, which is the ``app`` of the module of its name."""


def command_tree(named: str | None = None) -> typer.Typer:
    """Every command; only the one that is ``named`` where there is one of this name, so that no module is imported
    and no parameter is made of a command that does not run."""
    tree = typer.Typer(
        name="data-platform",
        help="Sync every source into one checked warehouse, look at it, and keep it true.",
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
    """Without a callback, a tree of one command would be that command."""


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
