"""``receive``: take webhooks until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.cli.options import EnvironmentOption, RootOption, open_project
from data_platform.cli.output import remark

PORT = 8787


def receive(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", help="Whose deliveries to take. Default: every source that takes any."
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on. Default: this machine alone."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port to listen on.")
    ] = PORT,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Take signed webhooks, and keep each in the landing store before it is answered.

    Listens in clear: a proxy in front of it speaks TLS. The next sync of the source brings what came into its tables.
    """
    platform = open_project(root, environment)
    from data_platform.receive.server import doors, serve

    for name in sources or []:
        platform.catalog.source(name)
    found = doors(platform, sources or [])

    def ready(at: int) -> None:
        for door in found:
            remark(f"http://{host}:{at}/webhooks/{door.source}")
        remark(f"Listening on {host}, port {at}. Stop it with Ctrl+C.")

    serve(found, host, port, ready)
