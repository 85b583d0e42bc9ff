"""One act in a process of its own, as the command line would do it: ``python -m benchmarks.recovery.once FILE ACT ...``.

What it found goes to FILE as JSON, imports and all are in its wall time.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from data_platform.sync import Platform, open_platform

SOURCE = "shop"


def back_up(platform: Platform, way: str) -> dict[str, Any]:
    from data_platform.sync.database_backup import back_up_database

    made = back_up_database(platform, SOURCE, full=way == "full")
    if made.failed:
        raise SystemExit(f"a store failed: {made.failed}")
    return {"way": made.backup.way, "bytes": made.backup.bytes, "plain": made.backup.plain_bytes}


def ship(platform: Platform) -> dict[str, Any]:
    from data_platform.sync.wal import receiver

    receiver(platform, SOURCE, lambda text: print(text, file=sys.stderr)).once()
    return {}


def recover(platform: Platform, at: str, into: str, copy: str) -> dict[str, Any]:
    from data_platform.sync.recovery import recover_database

    report = recover_database(platform, SOURCE, datetime.fromisoformat(at), Path(into), copy=copy)
    return {"steps": report.seconds, "chain": report.chain, "rows": sum(report.rows.values())}


def verify(platform: Platform, seed: str) -> dict[str, Any]:
    from data_platform.sync.copies import count_copies

    copies = [copy for one in count_copies(platform, int(seed)).classes for copy in one.copies]
    if wrong := [line for copy in copies for line in copy.problems]:
        raise SystemExit(f"not verified: {wrong}")
    return {"read": sum(one.bytes for one in copies), "objects": sum(one.objects for one in copies)}


ACTS = {"back_up": back_up, "ship": ship, "recover": recover, "verify": verify}


def main(file: str, root: str, environment: str, act: str, *arguments: str) -> None:
    platform = open_platform(Path(root), environment, dict(os.environ))
    Path(file).write_text(json.dumps(ACTS[act](platform, *arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
