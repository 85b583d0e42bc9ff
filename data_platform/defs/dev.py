"""`python -m data_platform.defs.dev`: `dagster dev` with the guarded webserver (`make dev`).

It takes the options of `dagster dev` and starts the same processes: a code server for each location, the daemon and
a webserver. All of them end with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from data_platform.private_files import keep_private

INSTEAD = {
    "dagster_webserver": "data_platform.defs.webserver",
    "dagster._daemon": "dagster._daemon",
}
"""The modules that `dagster dev` runs, and the module that replaces each."""


def main() -> None:
    keep_private()
    dev: Any = import_module("dagster._cli.dev")
    start = dev.open_ipc_subprocess

    def start_guarded(parts: Sequence[str], **options: Any) -> Any:
        interpreter, flag, module, *rest = parts
        # A Dagster that starts something we do not know could serve the UI without its guard.
        if flag != "-m" or module not in INSTEAD:
            raise RuntimeError(f"`dagster dev` starts {module}, which {__name__} does not know.")
        return start([interpreter, flag, INSTEAD[module], *rest], **options)

    dev.open_ipc_subprocess = start_guarded
    dev.dev_command(auto_envvar_prefix="DAGSTER_DEV")


if __name__ == "__main__":
    main()
