"""A program that speaks Airbyte's protocol in the place of Airbyte's own, which takes seconds to start: for the contract, and
for what the real one does seldom. It reads a folder's items in the order of their changes, three at a time."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}, "status": {"type": ["null", "string"]}}}


def line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(**message: Any) -> None:
    line(json.dumps(message))


def trace(status: str) -> None:
    say(
        type="TRACE",
        trace={
            "type": "STREAM_STATUS",
            "stream_status": {"stream_descriptor": {"name": "items"}, "status": status},
        },
    )


def read(config: dict[str, Any], state: list[Any]) -> None:
    since = state[0]["stream"]["stream_state"]["change"] if state else 0
    path = Path(config["folder"]) / f"{config['named']}.json"
    rows = sorted(
        (row for row in json.loads(path.read_text()).values() if row["change"] >= since),
        key=lambda row: row["change"],
    )
    line("a library prints what it likes")
    trace("STARTED")
    for at in range(0, len(rows), 3):
        for row in rows[at : at + 3]:
            text = json.dumps({"type": "RECORD", "record": {"stream": "items", "emitted_at": 1, "data": {}}})
            profile = row.pop("profile", None)
            data = json.dumps(row)[:-1] + (f', "profile": {profile}' if profile else "") + "}"
            line(text.replace('"data": {}', f'"data": {data}'))
        since = rows[at : at + 3][-1]["change"]
        told = {"stream_descriptor": {"name": "items"}, "stream_state": {"change": since}}
        say(type="STATE", state={"type": "STREAM", "stream": told})
        ends = config.get("ends")
        if ends == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if ends == "silent":
            time.sleep(60)
        if ends == "failed":
            said = f"The key {config['api_key']} of {config['nested'][0]['account']} is no good"
            say(type="LOG", log={"level": "ERROR", "message": said})
            say(
                type="TRACE",
                trace={"type": "ERROR", "error": {"message": said, "failure_type": "config_error"}},
            )
            trace("INCOMPLETE")
            say(type="STATE", state={"stream": {**told, "stream_state": {"change": 10**6}}})
            sys.exit(1)
        if ends == "short":
            sys.exit(0)
    trace("COMPLETE")


def main(command: str, *options: str) -> None:
    files = dict(zip(options[::2], options[1::2], strict=True))
    config = json.loads(Path(files["--config"]).read_text())
    Path(config["folder"], "environment.json").write_text(json.dumps(dict(os.environ)))
    if command == "discover":
        stream = {
            "name": "items",
            "json_schema": SCHEMA,
            "supported_sync_modes": ["full_refresh", "incremental"],
            "default_cursor_field": ["change"],
            "source_defined_primary_key": [["id"]],
        }
        say(type="CATALOG", catalog={"streams": [stream]})
    elif command == "check":
        say(type="CONNECTION_STATUS", connectionStatus={"status": "SUCCEEDED"})
    else:
        read(config, json.loads(Path(files["--state"]).read_text()))


def environment(folder: Path) -> Path:
    """A folder that is to the platform what ``make airbyte`` makes, with this program in it."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nshift 3\nexec "{sys.executable}" -I "{Path(__file__).absolute()}" "$@"\n')
    python.chmod(0o755)
    return folder


if __name__ == "__main__":
    main(*sys.argv[1:])
