"""Loads over the emulator of BigQuery: jobs and statements counted, faults at each call, two loads at once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.duckdb_sql import duckdb_text, duckdb_token
from data_platform.errors import LoadRefused, WarehouseError
from data_platform.tables import Column
from data_platform.warehouses.remote.warehouse import RemoteWarehouse
from data_platform_tests.contracts.batches import COLUMNS, LAYOUT, RULED, TABLE, Chain, write_part
from data_platform_tests.contracts.engines import raw, rows
from data_platform_tests.warehouses.bigquery.conftest import World

ALWAYS = "lose answer script"
"""The fault that every run tries; all of them with `--warehouse bigquery`."""
FAULTS = [
    f"{what} {at}"
    for what in ("reset", "lose answer", "503")
    for at in ("load", "script", "question", "describe")
]
AFTER = [(1, "2026-01-05", "changed", 50), (5, "2026-01-05", "new", 60)]
HELD = [(1, "2026-01-05", "changed"), (2, "2026-01-02", ""), (3, None, None), (4, "2026-01-03", "it's 5%"), (5, "2026-01-05", "new")]  # fmt: skip


def records(warehouse: RemoteWarehouse) -> list[tuple[Any, ...]]:
    """The record, which a load that was applied twice would have twice."""
    name = warehouse.grammar.relation("_data_platform", "loaded_batches")
    return warehouse.query(f"SELECT sequence, rows_inserted, rows_deleted FROM {name} ORDER BY 1").rows


def loaded_once(warehouse: RemoteWarehouse) -> None:
    assert rows(warehouse) == HELD
    assert records(warehouse) == [(1, 4, 0), (2, 2, 1)]


def test_a_batch_of_a_table_that_fits_is_one_load_job_and_one_script(world: World, chain: Chain) -> None:
    with world.opened() as warehouse:
        warehouse.load(*chain.next("merge", RULED))
        before = {one.job_id for one in warehouse.session._client.list_jobs(max_results=20)}  # of other tests
        world.sent()
        warehouse.load(*chain.next("merge", AFTER))
        sent = world.sent()
        assert (sent.count("load"), sent.count("script"), sent.count("drop")) == (1, 1, 1)
        assert len([one for one in sent if one != "job"]) <= 8
        jobs = list(warehouse.session._client.list_jobs(max_results=20))
        mine = [one for one in jobs if one.job_id not in before]
        (script,) = [one for one in mine if one.job_id.startswith("data_platform_load_shop_orders_2_")]
        changing = re.findall(r"^(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE)\b", script.query, re.MULTILINE)
        assert len(changing) <= 6
        loaded_once(warehouse)


def test_parts_in_a_bucket_of_google_are_read_from_there(world: World, chain: Chain, thorough: None) -> None:
    made, parts = chain.next("merge", RULED)
    place = world.server.buckets / "landing/shop/1.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(parts[0], place)
    with world.opened() as warehouse:
        warehouse.load(made, parts, addresses=["gs://landing/shop/1.parquet"])
        assert "load" not in world.sent(), "nothing was uploaded"
        assert len(rows(warehouse)) == 4


def test_several_parts_are_one_job(world: World, chain: Chain, tmp_path: Path, thorough: None) -> None:
    made, parts = chain.next("merge", RULED, promised=6)
    parts.append(
        write_part(tmp_path / "second.parquet", COLUMNS, [(8, None, "x", 1), (9, "2026-01-09", "y", 2)])
    )
    with world.opened() as warehouse:
        warehouse.load(made, parts)
        assert [row[0] for row in rows(warehouse)] == [1, 2, 3, 4, 8, 9]


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_that_is_lost_or_late_loads_a_batch_once(
    world: World, chain: Chain, fault: str, request: pytest.FixtureRequest
) -> None:
    if fault != ALWAYS:
        request.getfixturevalue("thorough")
    what, _, at = fault.rpartition(" ")
    with world.opened() as warehouse:
        warehouse.load(*chain.next("merge", RULED))
        method, path = {
            "load": ("POST", "uploadType"),
            "script": ("POST", "/jobs?prettyPrint"),
            "question": ("POST", "/queries"),
            "describe": ("GET", "/tables/"),
        }[at]
        world.proxy.breaks(what, method, 2, lambda asked: path in asked)
        done = warehouse.load(*chain.next("merge", AFTER))
        assert world.proxy.broken() == [what] * 2
        assert (done.rows_inserted, done.rows_deleted) == (2, 1)
        loaded_once(warehouse)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('401 {"error": {"message": "Invalid Credentials", "errors": [{"reason": "authError"}]}}', "have expired"),
        ('403 {"error": {"message": "Quota exceeded: x", "errors": [{"reason": "quotaExceeded", "message": "Quota exceeded: x"}]}}', "quota is used up"),
    ],
)  # fmt: skip
def test_an_expired_token_and_a_quota_are_named_and_leave_nothing_half(
    world: World, chain: Chain, answer: str, said: str, thorough: None
) -> None:
    with world.opened() as warehouse:
        warehouse.load(*chain.next("merge", RULED))
        made, parts = chain.next("merge", AFTER)
        world.proxy.breaks(answer, "POST", 9, lambda asked: "/jobs?prettyPrint" in asked)
        with pytest.raises(WarehouseError, match=said):
            warehouse.load(made, parts)
        world.proxy.faults.clear()
        assert records(warehouse) == [(1, 4, 0)]
        warehouse.load(made, parts)
        loaded_once(warehouse)


def test_a_table_that_must_be_asked_by_its_days_is_loaded_and_compared(
    world: World, chain: Chain, thorough: None
) -> None:
    with world.opened(require_partition_filter=True) as warehouse:
        warehouse.load(*chain.next("merge", RULED))
        warehouse.load(*chain.next("merge", AFTER))
        warehouse.load(*chain.next("slice", [(2, "2026-01-02", "z", 70)], slices=["2026-01-02"]))
        assert sum(one.rows for one in warehouse.fingerprints(TABLE, LAYOUT).values()) == 5
        assert sum(one.rows for one in warehouse.tallies(TABLE, LAYOUT).values()) == 5
        with pytest.raises(WarehouseError, match="without a filter"):
            warehouse.query(f"SELECT count(*) FROM {raw(warehouse)}")


KEYS = {
    "BIGINT": ["0", "-9223372036854775808"],
    "BOOLEAN": ["true", "false"],
    "DECIMAL(10,2)": ["1.10", "-0.50", "0.00", "12345678.90"],
    "DECIMAL(29,0)": ["12345678901234567890123456789"],
    "DECIMAL(20,12)": ["1.000000000001", "-0.5"],
    "DATE": ["0001-01-01", "2026-02-28", "9999-12-31"],
    "TIMESTAMP": ["1969-12-31 23:59:59.999999", "2026-01-01 00:00:00"],
    "TIMESTAMP WITH TIME ZONE": ["0001-01-01 00:00:00+00", "2026-01-01 12:00:00.000001+02"],
    "TIME": ["00:00:00", "23:59:59.999999"],
    "VARCHAR": ["", "it's \\ \"x\" `y`\n\tgrüße 🦆", "\x1f"],
    "UUID": ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
    "BLOB": ["\\x00\\xFFa"],
}  # fmt: skip
"""Of each type that a key may have, some of its values."""


def test_a_key_has_the_text_and_the_token_that_duckdb_gives_it(world: World, chain: Chain) -> None:
    """Each value goes through Parquet and a load, as a key's does."""
    columns = [Column("id", "BIGINT", ""), *(Column(f"k{n}", kind, "") for n, kind in enumerate(KEYS))]
    most = max(map(len, KEYS.values()))
    values = [[n, *(given[n] if n < len(given) else None for given in KEYS.values())] for n in range(most)]
    made, parts = chain.next("replace", values, columns=tuple(columns), partition=None, version=None)
    pieces = [duckdb_text(column) for column in columns]
    with duckdb.connect() as engine:
        source = f"read_parquet('{parts[0]}')"
        engine.execute("SET TimeZone = 'UTC'")
        wanted = engine.execute(
            f"SELECT {', '.join(pieces)}, {duckdb_token(columns, None)} FROM {source} ORDER BY id"
        ).fetchall()
    with world.opened() as warehouse:
        warehouse.load(made, parts)
        grammar = warehouse.grammar
        held = warehouse.session.columns("raw_shop", "orders")
        texts = [grammar.key_text(grammar.quote(column.name), held[column.name]) for column in columns]
        found = warehouse.query(
            f"SELECT {', '.join(texts)}, {grammar.token([*texts, grammar.literal('')])} FROM {raw(warehouse)} ORDER BY id"
        ).rows
    assert found == wanted


def test_a_value_that_bigquery_has_not_is_named_before_anything_is_sent(world: World, chain: Chain) -> None:
    with world.opened() as warehouse:
        warehouse.loaded_all()
        world.sent()
        with pytest.raises(LoadRefused, match="2 rows of its column at are infinite or outside"):
            warehouse.load(*chain.next("merge", [(1, "infinity", "a", 1), (2, "0044-03-15 (BC)", "b", 1)]))
        assert not {"load", "drop"} & set(world.sent())


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE TABLE {raw}.t (n NUMERIC(38, 18))", "NUMERIC cannot have precision 38"),
        ("DELETE FROM {raw}.t AS t USING {raw}.u AS u WHERE t.n = u.n", "USING"),
        (
            "BEGIN TRANSACTION; CREATE TABLE {raw}.u (n INT64); COMMIT TRANSACTION",
            "not supported in a transaction",
        ),
    ],
)
def test_the_emulator_refuses_what_the_service_refuses(world: World, statement: str, said: str) -> None:
    with world.opened() as warehouse:
        grammar = warehouse.grammar
        warehouse.session.define([grammar.create_schema("raw_shop")])
        jobs = warehouse.session._jobs
        job = jobs.client.query(statement.format(raw=grammar.schema("raw_shop")), job_retry=None, retry=None)
        while job.state != "DONE":
            job.reload(retry=None)
        assert said in job.error_result["message"]


def test_a_dearer_job_than_allowed_fails_before_it_runs(world: World) -> None:
    with (
        world.opened(maximum_bytes_billed=1) as warehouse,
        pytest.raises(WarehouseError, match="maximum_bytes_billed"),
    ):
        warehouse.query("SELECT 1")


def test_tables_are_partitioned_clustered_and_made_anew_where_they_are_not(
    world: World, chain: Chain, thorough: None
) -> None:
    with world.opened() as warehouse:
        warehouse.load(*chain.next("replace", RULED), cluster=["id"])
        session = warehouse.session
        assert session.fits("raw_shop", "orders", "at", ["id"]) and not session.fits(
            "raw_shop", "orders", None, []
        )
        warehouse.load(*chain.next("replace", RULED[:2]), cluster=["note", "id"])
        assert session.fits("raw_shop", "orders", "at", ["note", "id"])
        table = session._table("raw_shop", "orders")
        assert table.expires is None, "it does not expire as the stage that it came from"
        assert [row[0] for row in rows(warehouse)] == [1, 2]
