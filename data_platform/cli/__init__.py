"""Everything a person does without the UI: the ``data-platform`` command.

Each command is one module of this folder. It reads the options and prints the result;
the layers below decide. Nothing here imports Dagster, dbt or pandas, and heavy modules
are imported inside the command that needs them, so that a command starts in well under
a second.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

GARBAGE_AFTER = 50_000
"""New objects before the garbage collector runs: some megabytes at most."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry point: runs ``argv`` and exits with an exit code of ``cli.app``."""
    from data_platform.cli.no_pandas import keep_out

    keep_out()
    # A command starts by making a hundred thousand objects that stay. Collecting garbage among them again and again,
    # and searching all installed packages for plug-ins of pydantic, takes a tenth of the start.
    gc.set_threshold(GARBAGE_AFTER)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from data_platform.cli import interrupts
    from data_platform.private_files import keep_private

    keep_private()
    try:
        from data_platform.cli.app import run

        code = run(sys.argv[1:] if argv is None else list(argv))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has ended: nothing is left to interrupt
        gc.freeze()  # the exit frees the memory; a last garbage collection would take a fifteenth of a start
    except KeyboardInterrupt:
        print(interrupts.MESSAGE, file=sys.stderr)
        code = interrupts.EXIT_CODE
    sys.exit(code)
