"""Loads into Redshift: exactly once through every failing call, two at once, what a batch costs, where its parts are read.

Over the stand-in (``engines/redshift``): the client, the protocol, transactions and locks are real ones; COPY is the proxy's.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from data_platform.errors import LoadRefused
from data_platform.tables import Column, TableId
from data_platform_tests.contracts.batches import COLUMNS, Chain
from data_platform_tests.engines.redshift.server import Broken, RedshiftServer, ServerError
from data_platform_tests.servers.objects import BUCKET, new_prefix
from data_platform_tests.warehouses.exactly_once import ExactlyOnce, Fault, Trial, at_once, batches, held

CHANGING = re.compile(r"(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|TRUNCATE)\b")
VIOLATION = "1023\nDETAIL:  Serializable isolation violation on table - 100"


@pytest.fixture
def trial(opened_redshift: Callable[..., Any], redshift: RedshiftServer, tmp_path: Path) -> Trial:
    faults = {
        "cut before it is run": Fault("before", Broken),
        "answer lost": Fault("after", Broken),
        "serialization": Fault("before", lambda: ServerError("40001", "could not serialize access")),
        "1023": Fault("before", lambda: ServerError("XX000", VIOLATION)),
    }
    return Trial(opened_redshift, redshift, tmp_path, faults, Broken, "BEGIN", "COMMIT")


class TestExactlyOnce(ExactlyOnce):
    kind, step = "redshift", 2

    def possible(self, trial: Trial, calls: list[str], at: int, fault: Fault) -> bool:
        """An error of two transactions comes within one."""
        if isinstance(fault.error(), Broken):
            return True
        return calls.index("BEGIN") < at <= calls.index("COMMIT")


def test_first_loads_of_several_tables_at_once(
    opened_redshift: Callable[..., Any], redshift: RedshiftServer, trial: Trial
) -> None:
    """Each makes the platform's own tables, and the schema that they share, where they are not there yet."""
    chains = [trial.chain(number) for number in range(4)]
    start = threading.Barrier(4, timeout=20)
    redshift.config(trial.folder)  # the database is there

    def loads(chain: Chain) -> None:
        with opened_redshift() as warehouse:
            warehouse.loaded(chain.always["table"])
            start.wait()
            for made, parts in (*batches(chain, "merge"), *batches(chain, "slice")):
                warehouse.load(made, parts)

    at_once([partial(loads, chain) for chain in chains])
    with opened_redshift() as warehouse:
        assert [(one.table.table, one.sequence) for one in warehouse.loaded_all()] == [
            (f"t{number}", 4) for number in range(4)
        ]
        states = [held(warehouse, chain.always["table"]) for chain in chains]
    assert all(state == states[0] for state in states)


def test_what_a_batch_costs_is_bounded(opened_redshift: Callable[..., Any], trial: Trial) -> None:
    """One COPY, and six statements that change something, where the table fits already."""
    with opened_redshift() as warehouse:
        for kind in ("merge", "append", "replace"):
            _, _, statements = trial.clean(warehouse, kind)
            changing = [sql for sql in statements if CHANGING.match(sql)]
            assert len(changing) <= 6, changing
            assert sum(sql.startswith("COPY") for sql in statements) == 1
            assert len(statements) <= 18, statements


def test_what_lies_in_the_bucket_is_read_from_there(
    opened_redshift: Callable[..., Any], redshift: RedshiftServer, tmp_path: Path
) -> None:
    s3 = boto3.client("s3")
    made, parts = Chain(tmp_path / "parts").next("merge", [(1, "2026-01-01", "a", 1)])
    key = f"{new_prefix()}/part-0000.parquet"
    s3.upload_file(str(parts[0]), BUCKET, key)
    with opened_redshift() as warehouse:
        redshift.copied.clear()
        assert warehouse.load(made, parts, addresses=[f"s3://{BUCKET}/{key}"]).rows_inserted == 1
        assert redshift.copied == [f"s3://{BUCKET}/{key}"]
        redshift.copied.clear()
        chain = Chain(
            tmp_path / "more", columns=(*COLUMNS, Column("u", "UUID", "uuid")), table=TableId("shop", "other")
        )
        made, parts = chain.next("merge", [(1, "2026-01-01", "a", 1, "00000000-0000-0000-0000-00000000000a")])
        warehouse.load(made, parts, addresses=[f"s3://{BUCKET}/{key}"])
        assert len(redshift.copied) == 1 and key not in redshift.copied[0], (
            "a column that COPY does not read: sent anew"
        )
        assert warehouse.query("SELECT u FROM raw_shop.other").rows == [
            ("00000000-0000-0000-0000-00000000000a",)
        ]
    staging = redshift.config(tmp_path).staging.removeprefix(f"s3://{BUCKET}/")
    assert not s3.list_objects_v2(Bucket=BUCKET, Prefix=staging).get("Contents"), "nothing is left behind"


def test_a_raw_table_is_sorted_by_its_days_and_its_cluster(
    opened_redshift: Callable[..., Any], redshift: RedshiftServer, tmp_path: Path
) -> None:
    columns = (*COLUMNS, Column("x", "BLOB", "bytea"))
    made, parts = Chain(tmp_path / "parts", columns=columns).next("merge", [(1, "2026-01-01", "a", 1, None)])
    with opened_redshift() as warehouse:
        with pytest.raises(
            LoadRefused, match="clustered by x, which is no column of it that Redshift can sort by"
        ):
            warehouse.load(made, parts, cluster=["x"])
        warehouse.load(made, parts, cluster=["note", "at"])
    (create,) = [
        sql for sql in redshift.seen if sql.startswith('CREATE TABLE IF NOT EXISTS "raw_shop"."orders"')
    ][-1:]
    assert create.endswith(' COMPOUND SORTKEY ("at", "note")')
