"""`python -m data_platform.defs.webserver`: Dagster's webserver behind the guard of `data_platform/web`.

Takes the options of `dagster-webserver` (`--workspace`, `--host`, `--port`, `--read-only`, ...). It is what
`make dev` and the image start; `dagster-webserver` and `dagster dev` by themselves have no guard.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from data_platform.web.guard import Guard
from data_platform.web.status import StatusPage


def guard(app: Any, prefix: str = "") -> Guard:
    """``app`` behind the guard, reached under loopback names and where the alerts' links point, with the status page at
    ``/status``."""
    from data_platform.alerts.config import AlertsConfig, ui_address
    from data_platform.catalog import project_root
    from data_platform.catalog.settings import alerts_of, status_page_of
    from data_platform.errors import ConfigurationError

    environment = os.environ.get("DATA_PLATFORM_ENV") or "local"
    page = None
    try:
        root = project_root()
        alerts, page = alerts_of(root, environment), status_page_of(root, environment)
    except ConfigurationError:  # a webserver that stands apart from the project
        alerts = AlertsConfig()
    served = app if page is None else StatusPage(app, page, prefix=prefix)
    return Guard(served, ui_url=ui_address(alerts, os.environ), prefix=prefix)


def main() -> None:
    cli: Any = import_module("dagster_webserver.cli")
    create = cli.create_app_from_workspace_process_context

    def create_guarded(context: Any, path_prefix: str = "", *rest: Any, **named: Any) -> Guard:
        return guard(create(context, path_prefix, *rest, **named), path_prefix)

    cli.create_app_from_workspace_process_context = create_guarded
    cli.cli(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
