"""Everything a person does without the UI: the ``data-platform`` command.

One module a command beside this one, each with what it prints and nothing it
decides: that is in the layers below. Nothing here imports Dagster, dbt or pandas,
and heavy modules are imported inside the command that needs them, so that the
command starts in well under a second.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

GARBAGE_AFTER = 50_000
"""New objects before circles among them are looked for: some megabytes at most."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry point: runs ``argv`` and leaves with an exit code of ``cli.app``."""
    # DuckDB imports pandas whenever a value is bound (1.3 s) unless it cannot; nothing here needs it.
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
    # A command starts by making a hundred thousand objects that stay; looking through them for garbage again and
    # again, and through all installed packages for plug-ins of pydantic, is a tenth of that.
    gc.set_threshold(GARBAGE_AFTER)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from data_platform.cli import interrupts
    from data_platform.private_files import keep_private

    keep_private()
    try:
        from data_platform.cli.app import run

        code = run(sys.argv[1:] if argv is None else list(argv))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: nothing is left to interrupt
        gc.freeze()  # what is left goes with the process: to look through it for circles takes a fifteenth of a start
    except KeyboardInterrupt:
        print(interrupts.MESSAGE, file=sys.stderr)
        code = interrupts.EXIT_CODE
    sys.exit(code)
