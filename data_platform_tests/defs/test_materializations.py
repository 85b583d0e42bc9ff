"""What a materialization tells of a table's rows, and what it costs to ask."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from pathlib import Path
from data_platform.defs.materializations import table_metadata
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.batches import TABLE, Chain
root = Path(sys.argv[1])
chain = Chain(root / "landed")
with DuckDBConfig(path="warehouse.duckdb").open(root, files=[root]) as warehouse:
    batches = [chain.next("merge", [(n, "2026-01-01", "a", 1)]) for n in range(1, 4)]
    for manifest, parts in batches:
        warehouse.load(manifest, parts)
    known = "pandas" in sys.modules
    for batch in (batches[1][0].batch_id, "o'none", None):
        told = table_metadata(warehouse, TABLE, batch)
        print(told["dagster/row_count"], sorted(one.data["id"] for one in told["preview"].value.records))
    print("pandas" in sys.modules and not known)
"""


def test_the_preview_is_of_the_batch_or_else_of_the_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["3 ['2']", "3 ['1', '2', '3']", "3 ['1', '2', '3']", "False"]
