"""What is particular to the DuckDB warehouse: its file, who holds it, what a reader may do, what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data_platform.errors import QueryFailed, WarehouseBusy, WarehouseError
from data_platform.tables import Column, TableId
from data_platform.warehouses import Look
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.batches import COLUMNS, TABLE, Chain

CONFIG = DuckDBConfig(path=Path("data/warehouse.duckdb"), wait_seconds=5, threads=1)


@pytest.fixture
def loaded(tmp_path: Path) -> Path:
    """A project root whose warehouse holds one batch."""
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        warehouse.load(*Chain(tmp_path / "parts").next("merge", [(1, "2026-01-01", "a", 1)]))
    return tmp_path


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    code = (
        "import duckdb, sys\n"
        "held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.readline(); held.close()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), "token=secret", "https://user:secret@host"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_settings() -> None:
    assert DuckDBConfig(path=Path("x")).memory_limit == "600MB"
    for wrong in (
        {},
        {"path": "x", "memory_limit": "much"},
        {"path": "x", "threads": 0},
        {"path": "x", "pfad": 1},
    ):
        with pytest.raises(ValidationError):
            DuckDBConfig.model_validate(wrong)


def test_importing_the_module_imports_no_engine() -> None:
    code = (
        "import sys, data_platform.warehouses.kinds, data_platform.quality.evaluate\n"
        "assert 'data_platform.warehouses.duckdb.warehouse' not in sys.modules\n"
        "import data_platform.warehouses.duckdb.warehouse\n"
        "print(sorted({'duckdb', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_loading_and_comparing_import_no_pandas(loaded: Path) -> None:
    """One bound value would: DuckDB looks its type up in pandas and pyarrow, 2.5 CPU-seconds."""
    code = (
        "import sys; from pathlib import Path\n"
        "from data_platform.warehouses.duckdb.config import DuckDBConfig\n"
        "from data_platform_tests.contracts.batches import LAYOUT, TABLE, Chain\n"
        "root = Path(sys.argv[1])\n"
        "chain = Chain(root / 'more')\n"
        "with DuckDBConfig(path='data/warehouse.duckdb').open(root, files=[root]) as warehouse:\n"
        "    chain.sequence = 1\n"
        "    warehouse.load(*chain.next('replace', [(1, '2026-01-01', 'a', 1)]))\n"
        "    warehouse.fingerprints(TABLE, LAYOUT); warehouse.changed_since(TABLE)\n"
        "    warehouse.describe(); warehouse.loaded_all(); warehouse.query('SELECT * FROM raw_shop.orders')\n"
        "print('pandas' in sys.modules, 'pyarrow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(loaded)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout == "False False\n"


def test_nothing_to_read_is_said_and_nothing_created(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no warehouse"), CONFIG.open(tmp_path, read_only=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / CONFIG.path).write_bytes(b"no database at all" * 1000)
    with pytest.raises(WarehouseError, match="could not be opened"), CONFIG.open(tmp_path, files=[tmp_path]):
        pass


def test_what_a_killed_maker_left_is_swept_from_beside_a_file_that_is_there(loaded: Path) -> None:
    """Its hard link to the warehouse would keep the space of one that was removed."""
    file = loaded / CONFIG.path
    for name, age in (("old", 7200), ("new", 60)):
        left = file.with_name(f".{file.name}-{name}")
        left.mkdir()
        os.link(file, left / file.name)
        os.utime(left, (then := time.time() - age, then))
    with CONFIG.open(loaded, files=[loaded]) as warehouse:
        assert warehouse.loaded(TABLE) is not None
    assert [path.name for path in file.parent.glob(".*")] == [f".{file.name}-new"], "it may be at work"


def test_a_held_file_is_waited_for_and_then_its_holder_named(loaded: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        assert seconds > 0
        now[0] += seconds

    with held_by_another_process(loaded / CONFIG.path) as process:
        with pytest.raises(WarehouseBusy) as caught, CONFIG.open(loaded, clock=lambda: now[0], sleep=sleep):
            pass
        message = str(caught.value)
        assert f"process {process.pid}" in message
        assert "waited 5 seconds" in message
        if Path("/proc").exists():
            assert "python" in message
        assert "secret" not in message
    assert now[0] == pytest.approx(5)
    assert caught.value.retryable


def test_a_file_let_go_in_time_opens(loaded: Path) -> None:
    with held_by_another_process(loaded / CONFIG.path) as process:

        def let_go(_: float) -> None:
            if process.poll() is None:
                process.communicate("go\n")

        with CONFIG.open(loaded, sleep=let_go) as warehouse:
            assert warehouse.loaded(TABLE) is not None


def test_this_process_s_own_other_mode_is_said(loaded: Path) -> None:
    config = CONFIG.model_copy(update={"wait_seconds": 0})
    with (
        CONFIG.open(loaded, read_only=True),
        pytest.raises(WarehouseBusy, match="this process"),
        config.open(loaded),
    ):
        pass


def test_readers_share_and_cannot_write_or_reach_out(loaded: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with CONFIG.open(loaded, read_only=True) as warehouse, CONFIG.open(loaded, read_only=True) as other:
        assert warehouse.query("SELECT count(*) FROM raw_shop.orders").rows == [(1,)]
        assert other.loaded(TABLE) is not None
        for statement in (
            "DELETE FROM raw_shop.orders",
            "CREATE TABLE raw_shop.x AS SELECT 1",
            f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
            f"COPY raw_shop.orders TO '{tmp_path / 'out.csv'}'",
            f"ATTACH '{tmp_path / 'other.duckdb'}'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            "SET memory_limit = '1TB'",
        ):
            with pytest.raises(QueryFailed):
                warehouse.query(statement)


def test_views_are_described_as_views(loaded: Path) -> None:
    with CONFIG.open(loaded, files=[loaded]) as warehouse:
        warehouse.query("CREATE VIEW raw_shop.seen AS SELECT id FROM raw_shop.orders")
        assert [(r.name, r.kind) for r in warehouse.describe("raw_shop")] == [
            ("orders", "table"),
            ("seen", "view"),
        ]
        assert {r.schema for r in warehouse.describe()} == {"_data_platform", "raw_shop"}


def test_one_relation_is_described_as_among_all(loaded: Path) -> None:
    with CONFIG.open(loaded, files=[loaded]) as warehouse:
        for statement in (
            "CREATE TABLE raw_shop.\"o'd\"\"d\" (m ENUM('a', 'b'), j JSON, d DECIMAL(10,2), t TIMESTAMPTZ, l INTEGER[3],"
            ' s STRUCT("x y" DATE, n VARCHAR[]))',
            'CREATE VIEW raw_shop.seen AS SELECT * FROM raw_shop."o\'d""d"',
            "CREATE TABLE raw_shop.gone (id INTEGER)",
            "CREATE VIEW raw_shop.broken AS SELECT * FROM raw_shop.gone",
            "DROP TABLE raw_shop.gone",
        ):
            warehouse.query(statement)
        everything = warehouse.describe()
        assert {"o'd\"d", "seen", "broken"} < {one.name for one in everything}
        for one in everything:
            assert warehouse.describe(one.schema, one.name) == [one]
        assert warehouse.describe("raw_shop", "gone") == []
        assert warehouse.describe("nowhere", "orders") == []


def test_a_view_over_a_raw_table_survives_its_refresh(loaded: Path) -> None:
    chain = Chain(loaded / "more")
    with CONFIG.open(loaded, files=[loaded]) as warehouse:
        warehouse.query("CREATE VIEW raw_shop.seen AS SELECT id FROM raw_shop.orders")
        chain.sequence = 1
        warehouse.load(*chain.next("replace", [(7, "2026-01-01", "a", 1)]))
        assert warehouse.query("SELECT * FROM raw_shop.seen").rows == [(7,)]


def test_threads_write_down_one_table_side_by_side(tmp_path: Path) -> None:
    """Two syncs of one table that find nothing: updates of one row by two transactions conflict."""
    table, failures = TableId("shop", "orders"), []
    start = threading.Barrier(4)

    def note(number: int) -> None:
        start.wait()
        for n in range(60):
            try:
                with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
                    at = f"2026-01-01T00:{n:02}:00+00:00"
                    warehouse.record_reads([Look(table, at, reconciled=False)])
                    warehouse.record_rules(table, n, str(number))
            except BaseException as error:
                failures.append(error)

    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        warehouse.load(*Chain(tmp_path, table=table).next("replace", []))
        threads = [threading.Thread(target=note, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert warehouse.recorded_rules().keys() == {table}


@pytest.mark.parametrize(
    "before",
    [
        "DROP TABLE _data_platform.loaded_tables",
        "UPDATE _data_platform.loaded_tables SET sequence = 1, batches = 1, batch_id = 'x', digest = 'x'",
    ],
    ids=["from before there was one", "written by an earlier version since"],
)
def test_the_newest_batch_is_found_whoever_wrote_the_records(tmp_path: Path, before: str) -> None:
    chain = Chain(tmp_path / "parts")
    batches = [chain.next("merge", [(n, "2026-01-01", "a", 1)]) for n in range(4)]
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        for batch in batches[:3]:
            warehouse.load(*batch)
        known = warehouse.loaded_all()
        warehouse.query(before)
    with CONFIG.open(tmp_path, read_only=True) as warehouse:
        assert warehouse.loaded_all() == known
        assert [warehouse.loaded(TABLE)] == known
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        assert warehouse.load(*batches[2]).rows_inserted == 0, "it is loaded already"
        warehouse.load(*batches[3])
        newest = warehouse.loaded(TABLE)
        assert newest is not None
        assert newest.sequence == 4
        held = warehouse.query("SELECT sequence, batch_id, digest, batches FROM _data_platform.loaded_tables")
        assert held.rows == [(4, newest.batch_id, batches[3][0].digest, 4)]


class Counting:
    """A connection that remembers what it was given to execute."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.executed = connection, []

    def execute(self, statement: Any) -> Any:
        self.executed.append(statement)
        return self.connection.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.mark.parametrize(("enforced", "statements"), [(True, 11), (False, 14)])
def test_what_a_first_load_asks_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enforced: bool, statements: int
) -> None:
    """Of a small table, each statement takes longer to be planned than to be run. Nothing is staged of a table that
    is not there and of a key that the source enforces."""
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        warehouse.load(*Chain(tmp_path / "other", table=TableId("shop", "other")).next("replace", []))
        rows = [(1, "2026-01-01", "a", 1), (2, None, "b", 1)]
        manifest, parts = Chain(tmp_path / "parts").next("replace", rows)
        counting = Counting(warehouse.connection)
        monkeypatch.setattr(warehouse, "connection", counting)
        result = warehouse.load(replace(manifest, key_enforced=enforced), parts)
        assert (result.rows_inserted, dict(result.touched)) == (2, {"2026-01-01": 1, "null": 1})
        assert len(counting.executed) == statements
        assert warehouse.changed_since(TABLE) == {"2026-01-01": 1, "null": 1}


def test_looks_at_many_tables_are_kept_at_once(tmp_path: Path) -> None:
    looks = [Look(TableId("shop", f"t{n}"), "2026-01-02T00:00:00+00:00", reconciled=n == 1) for n in range(3)]
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        warehouse.record_reads(looks)
        warehouse.record_reads([Look(looks[0].table, "2026-01-01T00:00:00+00:00", reconciled=True)])
        found = warehouse.query(
            "SELECT \"table\", strftime(read_at, '%d'), strftime(reconciled_at, '%d'), lost_at"
            " FROM _data_platform.table_reads ORDER BY 1"
        )
    assert found.rows == [("t0", "02", "01", None), ("t1", "02", "02", None), ("t2", "02", None, None)]


def test_a_batch_that_tells_of_deletes_reconciles_its_table(tmp_path: Path) -> None:
    """And one that took a key away has lost rows."""
    chain = Chain(tmp_path / "parts")
    gone = (*COLUMNS, Column("gone", "BOOLEAN", "boolean"))
    found: list[tuple[object, ...]] = []
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        for batch in (
            chain.next("merge", [(1, None, "a", 1)]),
            chain.next("merge", [(2, None, "b", 1, "false")], columns=gone, deleted="gone"),
            chain.next("merge", [(1, None, None, 1, "true")], columns=gone, deleted="gone"),
        ):
            warehouse.load(*batch)
            asked = "SELECT reconciled_at IS NOT NULL, lost_at IS NOT NULL FROM _data_platform.table_reads"
            found += warehouse.query(asked).rows
    assert found == [(False, False), (True, False), (True, True)]


def test_threads_load_tables_side_by_side(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def load(name: str) -> None:
        try:
            chain = Chain(tmp_path / name, table=TableId("shop", name))
            start.wait()
            for n in range(3):
                with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
                    warehouse.load(*chain.next("merge", [(n, "2026-01-01", "a", 1)]))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=load, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with CONFIG.open(tmp_path, read_only=True) as warehouse:
        assert [(b.table.table, b.sequence) for b in warehouse.loaded_all()] == [
            (f"t{n}", 3) for n in range(4)
        ]


def test_a_kill_in_the_middle_of_a_load_leaves_the_batch_before(loaded: Path) -> None:
    """The process dies after the rows were deleted and inserted, before the commit."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from data_platform.warehouses.duckdb import records\n"
        "from data_platform.warehouses.duckdb.config import DuckDBConfig\n"
        "from data_platform_tests.contracts.batches import Chain\n"
        "root = Path(sys.argv[1]); chain = Chain(root / 'killed')\n"
        "chain.sequence, chain.digest = 1, sys.argv[2]\n"
        "records.record = lambda *a, **k: os.kill(os.getpid(), 9)\n"
        "with DuckDBConfig(path='data/warehouse.duckdb').open(root, files=[root]) as warehouse:\n"
        "    warehouse.load(*chain.next('merge', [(1, '2026-01-02', 'b', 2)]))\n"
    )
    with CONFIG.open(loaded, files=[loaded]) as warehouse:
        before = warehouse.loaded(TABLE)
    assert before is not None
    done = subprocess.run(
        [sys.executable, "-c", code, str(loaded), before.digest], cwd=Path.cwd(), check=False
    )
    assert done.returncode == -9
    chain = Chain(loaded / "again")
    chain.sequence, chain.digest = 1, before.digest
    with CONFIG.open(loaded, files=[loaded]) as warehouse:
        assert warehouse.loaded(TABLE) == before
        assert warehouse.query("SELECT note FROM raw_shop.orders").rows == [("a",)]
        warehouse.load(*chain.next("merge", [(1, "2026-01-02", "b", 2)]))
        assert warehouse.query("SELECT note FROM raw_shop.orders").rows == [("b",)]


def test_a_query_that_fails_in_a_load_echoes_no_value(tmp_path: Path) -> None:
    chain = Chain(tmp_path / "parts")
    made, parts = chain.next("merge", [(1, "2026-01-01", "a secret", 1)])
    columns = tuple(c if c.name != "note" else replace(c, type="BIGINT") for c in made.columns)
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse, pytest.raises(WarehouseError) as caught:
        warehouse.load(replace(made, columns=columns).sealed(), parts)
    assert "secret" not in str(caught.value)
    assert os.fspath(tmp_path / CONFIG.path) in str(caught.value)


def test_long_texts_are_committed_into_the_file_and_not_by_way_of_the_log(tmp_path: Path) -> None:
    """The engine counts 16 bytes for a text of any length, so that it would write all of them to the log first."""
    with CONFIG.open(tmp_path) as warehouse:
        warehouse.connection.execute(
            "CREATE TABLE t AS SELECT i, i AS a, i AS b, i AS c, repeat(md5(i::VARCHAR), 20) AS x FROM range(60000) r(i)"
        )
        log = warehouse.path.with_name(f"{warehouse.path.name}.wal")
        assert not log.exists() or log.stat().st_size < 10_000
        assert warehouse.query("SELECT count(*), sum(strlen(x)) FROM t").rows == [(60_000, 60_000 * 640)]
