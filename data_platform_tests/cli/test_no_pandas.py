"""A command's process has no pandas, and every library that looks for it goes on without."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
from data_platform.cli.no_pandas import keep_out
keep_out()
import pyarrow as pa
first = pa.array(["a", None])  # the first array of a process is the one for which pyarrow looks
import duckdb
bound = duckdb.execute("select ?::integer", [7]).fetchone()[0]
print(first.null_count, bound, "pandas" in sys.modules)
"""


def test_libraries_that_look_for_pandas_go_on_without_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split() == ["1", "7", "False"]
