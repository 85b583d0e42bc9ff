"""In Spark's environment: the rows of several landed tables, by the runner's own way to open an input.

``python evaluate.py RUNNER REMOTE CONF``: reads ``[{"input": .., "names": [..]}, ..]`` as JSON, prints the rows of each.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any


def main() -> None:
    from pyspark.sql import functions

    found = importlib.util.spec_from_file_location("runner", sys.argv[1])
    assert found is not None and found.loader is not None
    runner: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(runner)
    spark = runner._session({"remote": sys.argv[2], "conf": json.loads(sys.argv[3]), "memory": "1g"})
    asked = json.load(sys.stdin)
    united: Any = None
    for n, one in enumerate(asked):
        rows = runner.opened(spark, f"input_{n}", one["input"])
        values = functions.array(*(rows[name].cast("string") for name in one["names"]))
        rows = rows.select(functions.lit(n).alias("n"), values.alias("row"))
        united = rows if united is None else united.unionAll(rows)
    answers: list[list[Any]] = [[] for _ in asked]
    for n, row in united.collect():
        answers[n].append(row)
    sys.stdout.write(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
