"""A DuckDB file written again holds all that it held, and nothing of what was deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from data_platform.errors import WarehouseBusy
from data_platform.warehouses.duckdb.config import DuckDBConfig

CONFIG = DuckDBConfig(path=Path("w.duckdb"), wait_seconds=0)
NEEDLE = b"needle-of-somebody"


def make(folder: Path) -> Path:
    path = folder / "w.duckdb"
    with duckdb.connect(str(path)) as engine:
        engine.execute("create schema marts; create table marts.people (n bigint primary key, note varchar)")
        engine.execute("pragma force_compression = 'uncompressed'")  # or the needle is no text in the file
        note = "case when i % 2 = 1 then 'needle-of-somebody-' || i else 'x' || i end"
        engine.execute(f"insert into marts.people select i, {note} from range(3000) t(i)")
        engine.execute("create view marts.v as select * from marts.people where n > 5")
        engine.execute("create index by_note on marts.people (note); create sequence s start 7")
        engine.execute("comment on table marts.people is 'who'; create type mood as enum ('a', 'b')")
        engine.execute("create table moods as select 'a'::mood as m; checkpoint")
    with duckdb.connect(str(path)) as engine:
        engine.execute("delete from marts.people where n % 2 = 1; checkpoint")
    return path


def test_nothing_is_lost_and_nothing_deleted_is_left(tmp_path: Path) -> None:
    path = make(tmp_path)
    assert NEEDLE in path.read_bytes()
    assert "nothing of deleted rows" in CONFIG.forget(tmp_path)
    assert NEEDLE not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    with duckdb.connect(str(path)) as engine:
        assert engine.execute("select count(*), max(note) from marts.people").fetchall() == [(1500, "x998")]
        assert engine.execute("select count(*) from marts.v").fetchall() == [(1497,)]
        assert engine.execute("select m from moods").fetchall() == [("a",)]
        assert engine.execute("select nextval('s')").fetchall() == [(7,)]
        comment = "select comment from duckdb_tables() where table_name = 'people'"
        assert engine.execute(comment).fetchall() == [("who",)]
        assert engine.execute("select index_name from duckdb_indexes()").fetchall() == [("by_note",)]
        with pytest.raises(duckdb.ConstraintException):
            engine.execute("insert into marts.people values (2, 'y')")
    assert [one.name for one in tmp_path.iterdir()] == ["w.duckdb"]


def test_a_file_that_somebody_holds_stays(tmp_path: Path) -> None:
    path = make(tmp_path)
    before = path.read_bytes()
    code = (
        f"import duckdb, time; c = duckdb.connect({str(path)!r}); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        try:
            with pytest.raises(WarehouseBusy):
                CONFIG.forget(tmp_path)
        finally:
            other.kill()
    assert path.read_bytes() == before


AGAIN = """
import sys
from pathlib import Path
from data_platform.warehouses.duckdb.config import DuckDBConfig
for _ in range(5):
    DuckDBConfig(path=Path("w.duckdb"), wait_seconds=60).forget(Path(sys.argv[1]))
"""


def test_processes_that_write_it_again_at_once_take_turns(tmp_path: Path) -> None:
    """Each would take away the new file of another one, and put its own half of it in its place."""
    path = make(tmp_path)
    some = [subprocess.Popen([sys.executable, "-c", AGAIN, str(tmp_path)]) for _ in range(3)]
    assert [one.wait(120) for one in some] == [0, 0, 0]
    assert [one.name for one in tmp_path.iterdir()] == ["w.duckdb"]
    with duckdb.connect(str(path)) as engine:
        assert engine.execute("select count(*) from marts.people").fetchone() == (1500,)
