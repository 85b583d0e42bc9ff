"""`python -m data_platform.defs.heartbeat`: what Dagster's records say of the daemon, as JSON.

`data-platform doctor` runs it in a process of its own, since nothing else there imports Dagster:

    {"error": null, "storage": "DagsterPostgresStorage", "bytes": 140000000,
     "daemons": [{"daemon": "SENSOR", "last_heartbeat": 1790000000.0}]}

``error`` says why the records cannot be read; ``last_heartbeat`` is in Unix seconds, null before the first.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_platform.sources.postgres.unreachable import cause


def look() -> dict[str, Any]:
    """The required daemons of the instance in DAGSTER_HOME, and when each was last alive."""
    import dagster as dg

    try:
        with dg.DagsterInstance.get() as instance:
            statuses = instance.get_daemon_statuses()
            return {
                "error": None,
                "storage": type(instance.event_log_storage).__name__,
                "bytes": size(instance),
                "daemons": [
                    {
                        "daemon": name,
                        "last_heartbeat": status.last_heartbeat.timestamp if status.last_heartbeat else None,
                    }
                    for name, status in sorted(statuses.items())
                ],
            }
    except Exception as error:
        return {"error": told(error), "storage": None, "bytes": 0, "daemons": []}


def size(instance: Any) -> int:
    """What the records take: the folder, and the database where there is one."""
    total = 0
    for file in Path(instance.root_directory).rglob("*"):
        with suppress(OSError):  # a log that goes while we look
            total += file.stat().st_size if file.is_file() else 0
    if getattr(instance.event_log_storage, "postgres_url", None):
        from sqlalchemy import text

        with instance.event_log_storage.index_connection() as connection:
            total += connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    return total


def told(error: BaseException) -> str:
    """The first line of the cause, without a password; a failed connection to PostgreSQL in our own words."""
    while error.__cause__ is not None:
        error = error.__cause__
    if type(error).__module__.startswith("psycopg"):
        return cause(str(error))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"(://[^:/@\s]+):[^@\s]+@", r"\1:[password]@", lines[0])


def main() -> None:
    sys.stdout.write(json.dumps(look()) + "\n")


if __name__ == "__main__":
    main()
