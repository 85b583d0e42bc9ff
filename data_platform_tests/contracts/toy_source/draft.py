"""A first draft of the file of a folder of logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from data_platform.sources.kind import SourceKeys
from data_platform.sources.looking import Privacy
from data_platform_tests.contracts.toy_source.kind import LogConnection


def draft(
    *,
    source: str,
    connection: LogConnection,
    keys: SourceKeys,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
) -> str:
    logs = sorted(path.stem for path in Path(connection.folder).glob("*.jsonl"))
    head = [f"source: {source}", "kind: log", f"connection: {{folder: {connection.folder}}}", "tables:"]
    return "\n".join([*head, *(f"  {log}: {{strategy: replace}}" for log in logs)]) + "\n"
