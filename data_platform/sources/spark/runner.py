"""The process in Spark's own environment: it runs jobs, writes what they give as Parquet, and tells how it went.

It is started as ``python -I runner.py REQUEST`` and imports nothing of the platform. ``REQUEST`` is a JSON file::

    {"remote": "local[2]", "conf": {..}, "memory": "1g", "answers": <an inherited descriptor>, "jobs": [
        {"table": .., "file": .., "inputs": {name: {"scans": [{"view", "schema", "files", "folder"}], "seq": column, "sql": ..}},
         "types": {column: a pattern of Spark's types}, "words": {column: its type in the catalog}, "conf": {..}, "days": [..] | null, "only": SQL | null, "output": ..}]}

One line of JSON is answered for each job. An error tells its kind, the line of the job's file and words without a value of a
row: only those of Spark's analysis, which knows no rows. Where the process that started this one ends, so does this one.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

_LINE = re.compile(r"line (\d+),? pos", re.IGNORECASE)
_OWN_CONF = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.writeLegacyFormat": "false",
    "spark.sql.caseSensitive": "true",
}
"""What exactness rests on; nobody's setting takes its place."""
log = logging.getLogger("spark_job")


class JobFailed(Exception):
    """What is wrong with what a job gave, in words."""


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    ended = threading.Thread(target=_end_with_parent, daemon=True)
    ended.start()
    with ExitStack() as stack:
        answers = stack.enter_context(os.fdopen(request["answers"], "w"))

        def answer(**what: Any) -> None:
            answers.write(json.dumps(what) + "\n")
            answers.flush()

        pipes = stack.enter_context(_pipes()) if "DAGSTER_PIPES_CONTEXT" in os.environ else None
        if pipes is not None:
            log.addHandler(_Told(pipes))
        log.setLevel(logging.INFO)
        try:
            spark = _session(request)
        except BaseException as error:
            answer(table=None, error=_failure(error, None))
            return
        for job in request["jobs"]:
            try:
                answer(table=job["table"], done=run(spark, job, request["remote"]))
            except BaseException as error:
                answer(table=job["table"], error=_failure(error, job["file"]))
        with suppress(Exception):
            spark.stop()


def _end_with_parent() -> None:
    """The other end of the standard input closes when the process that holds it ends, however that was."""
    while os.read(0, 4096):
        pass
    os._exit(1)  # Spark's Java process ends with this one


class _Told(logging.Handler):
    def __init__(self, pipes: Any) -> None:
        super().__init__()
        self._pipes = pipes

    def emit(self, record: logging.LogRecord) -> None:
        self._pipes.log.log(record.levelno, record.getMessage())


def _pipes() -> Any:
    from dagster_pipes import open_dagster_pipes

    return open_dagster_pipes()


def _session(request: dict[str, Any]) -> Any:
    from pyspark.sql import SparkSession

    remote = request["remote"]
    if remote.startswith("sc://"):
        spark = SparkSession.builder.remote(remote).getOrCreate()
        for name, value in {**request["conf"], **_OWN_CONF}.items():
            spark.conf.set(name, value)
        return spark
    cores = os.cpu_count() or 1
    master = f"local[{cores}]" if remote == "local" else remote
    builder = SparkSession.builder.master(master).appName("data_platform")
    usual = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": request["memory"],
        "spark.sql.shuffle.partitions": str(max(4, 2 * cores)),
        "spark.sql.warehouse.dir": str(Path.cwd()),
        "spark.local.dir": str(Path.cwd()),
    }
    for name, value in {**usual, **request["conf"], **_OWN_CONF}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def run(spark: Any, job: dict[str, Any], remote: str) -> dict[str, Any]:
    """Run one job; what it wrote and took."""
    began = time.monotonic()
    for name, value in job["conf"].items():
        spark.conf.set(name, value)
    try:
        before = _stages(spark, remote)
        inputs = {name: opened(spark, name, one) for name, one in job["inputs"].items()}
        rows = _rows(spark, job, inputs)
        rows = _checked(rows, job)
        if job["only"] is not None:
            rows = rows.where(job["only"])
        rows.write.mode("overwrite").option("compression", "zstd").parquet(job["output"])
        took = _took(before, _stages(spark, remote))
    finally:
        for name in job["conf"]:
            spark.conf.unset(name)
    seconds = round(time.monotonic() - began, 3)
    log.info(
        "%s: done in %s seconds%s", job["table"], seconds, "".join(f", {n} {v}" for n, v in took.items())
    )
    return {"seconds": seconds, **took}


def opened(spark: Any, name: str, given: dict[str, Any]) -> Any:
    """One input as a DataFrame and as a view of its name."""
    for scan in given["scans"]:
        reader = spark.read.schema(scan["schema"] + f", {given['seq']} int") if scan["folder"] else None
        if reader is not None:  # folders ``seq=8/``: Spark's own way to know of each file what is not in it
            scanned = reader.parquet(scan["folder"])
        else:
            scanned = _united(spark, scan, given["seq"])
        scanned.createOrReplaceTempView(scan["view"])
    rows = spark.sql(given["sql"])
    rows.createOrReplaceTempView(name)
    return rows


def _united(spark: Any, scan: dict[str, Any], seq: str) -> Any:
    """Files that lie in a bucket, batch by batch."""
    from pyspark.sql import functions

    batches: dict[int, list[str]] = {}
    for number, file in scan["files"]:
        batches.setdefault(number, []).append(file)
    found = None
    for number, files in batches.items():
        one = (
            spark.read.schema(scan["schema"])
            .parquet(*files)
            .withColumn(seq, functions.lit(number).cast("int"))
        )
        found = one if found is None else found.unionAll(one)
    return found


def _rows(spark: Any, job: dict[str, Any], inputs: dict[str, Any]) -> Any:
    path = Path(job["file"])
    if path.suffix == ".sql":
        return spark.sql(path.read_text().strip().rstrip(";"))
    names: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    exec(compile(path.read_text(), str(path), "exec"), names)
    if not callable(names.get("run")):
        raise JobFailed("it has no function `run(spark, inputs, days)` that gives a DataFrame")
    rows = names["run"](spark, inputs, job["days"])
    if not hasattr(rows, "createOrReplaceTempView"):
        raise JobFailed(f"its function `run` gave {type(rows).__name__}, which is no DataFrame")
    return rows


def _checked(rows: Any, job: dict[str, Any]) -> Any:
    """The declared columns, in their order. ``JobFailed`` where it gave others."""
    has = {field.name: field.dataType.simpleString() for field in rows.schema.fields}
    wanted: dict[str, str] = job["types"]
    wrong = [f"it gives no column {name}" for name in wanted if name not in has]
    wrong += [f"it gives a column {name}, which is not among `types`" for name in has if name not in wanted]
    wrong += [
        f"its column {name} is {has[name]}, and `types` says {job['words'][name]}"
        for name, pattern in wanted.items()
        if name in has and re.fullmatch(pattern, has[name]) is None
    ]
    if len(rows.schema.fields) > len(has):
        wrong.append("it gives two columns of one name")
    if wrong:
        raise JobFailed("; ".join(wrong))
    return rows.select(*("`" + name.replace("`", "``") + "`" for name in wanted))


def _stages(spark: Any, remote: str) -> dict[int, dict[str, int]] | None:
    """By its number, what each stage took so far. None of a cluster behind Spark Connect, which does not tell."""
    if remote.startswith("sc://"):
        return None
    context = spark.sparkContext
    none = context._gateway.new_array(context._jvm.double, 0)
    listed = context._jsc.sc().statusStore().stageList(None, False, False, none, None)
    stages = (listed.apply(n) for n in range(listed.size()))
    return {
        stage.stageId(): {
            "stages": 1,
            "tasks": stage.numCompleteTasks(),
            "input_bytes": stage.inputBytes(),
            "shuffle_bytes": stage.shuffleWriteBytes(),
            "spilled_bytes": stage.diskBytesSpilled(),
            "executor_milliseconds": stage.executorRunTime(),
        }
        for stage in stages
        if str(stage.status()) == "COMPLETE"
    }


def _took(
    before: dict[int, dict[str, int]] | None, after: dict[int, dict[str, int]] | None
) -> dict[str, int]:
    total: dict[str, int] = {}
    for number, one in (after or {}).items():
        if number not in (before or {}):
            for name, value in one.items():
                total[name] = total.get(name, 0) + int(value)
    return total


def _failure(error: BaseException, file: str | None) -> dict[str, Any]:
    """The kind of an error, its line in the job's file, and words that hold no value of a row."""
    names = [kind.__name__ for kind in type(error).__mro__]
    condition = None
    for asked in ("getCondition", "getErrorClass"):
        with suppress(Exception):
            condition = condition or getattr(error, asked)()
    said = None
    if isinstance(error, JobFailed):
        said = str(error)
    elif isinstance(error, SyntaxError):
        said = f"it is no Python: {error.msg}"
    elif "AnalysisException" in names or "ParseException" in names:
        said = str(error).strip().splitlines()[0]
        said = re.sub(r"\s*SQLSTATE: .*", "", re.sub(r"^\[[A-Z_.]+\]\s*", "", said))
    return {
        "kind": type(error).__name__,
        "condition": condition,
        "said": said,
        "line": _line(error, file),
    }


def _line(error: BaseException, file: str | None) -> int | None:
    if file is None:
        return None
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if own:
        return own[-1]
    if within := re.findall(
        rf'File "{re.escape(file)}", line (\d+)', str(error)
    ):  # a function that ran beside the rows
        return int(within[-1])
    match = _LINE.search(str(error)) if file.endswith(".sql") else None
    return int(match[1]) if match else None


if __name__ == "__main__":
    main()
