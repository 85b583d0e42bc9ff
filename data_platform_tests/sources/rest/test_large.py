"""A first read of many records, in a process of its own whose memory is measured: DATA_PLATFORM_TEST_RECORDS says how many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform_tests.sources.http.server import Asked, Reply, serving

RECORDS = int(os.environ.get("DATA_PLATFORM_TEST_RECORDS", "6000"))
PAGE = 2_000
MEMORY_MB = 500
PLATFORM = """
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb, memory_limit: 200MB}
"""
"""The load takes what ``memory_limit`` gives it; the rest is what is measured."""

# ru_maxrss counts what the process that forked it held too
SYNC = """
import json, re, sys
from pathlib import Path
from data_platform.sync import open_platform, sync_changes

(report,) = sync_changes(open_platform(Path(sys.argv[1]), "local", {}), "shop")
assert report.error is None, report.error
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
print(json.dumps({"rows": report.rows, "batches": len(report.batches), "peak_mb": peak}))
"""


def page(asked: Asked) -> Reply:
    first = (int(asked.query.get("page", 1)) - 1) * PAGE
    records = [
        {
            "id": n,
            "title": f"item number {n}",
            "state": "open" if n % 3 else "done",
            "price": round(n * 0.13, 2),
            "changed": 1_767_225_600 + n,
            "parts": {"width": n % 70, "tags": ["a", str(n % 10)]},
            "remarks": None if n % 4 else "x" * (n % 300),
        }
        for n in range(first, min(first + PAGE, RECORDS))
    ]
    return Reply(json.dumps({"items": records}).encode())


@pytest.mark.slow
@pytest.mark.parametrize(
    "incremental", [None, {"cursor_path": "changed", "start_param": "since"}], ids=["at once", "in steps"]
)
def test_memory_does_not_grow_with_the_records(tmp_path: Path, incremental: Mapping[str, Any] | None) -> None:
    endpoint: dict[str, Any] = {
        "path": "items",
        "paginator": {"type": "page_number", "base_page": 1, "total_path": None},
    }
    if incremental:
        endpoint["incremental"] = incremental
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    with serving(page) as server:
        table = {"key": "id", "endpoint": endpoint, "personal": {"remarks": "keep"}}
        source = {
            "source": "shop",
            "kind": "rest",
            "connection": {"base_url": server.url},
            "tables": {"items": table},
        }
        (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(yaml.safe_dump(source))
        done = subprocess.run(
            [sys.executable, "-c", SYNC, str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == RECORDS
    assert found["batches"] == 1 if incremental is None else found["batches"] >= RECORDS // 250_000, found
    assert found["peak_mb"] < MEMORY_MB, found
