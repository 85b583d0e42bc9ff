"""Somebody who may write to the landing bucket, against a platform that has a key."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from data_platform.errors import LedgerBroken
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.part import Part, sha256_of
from data_platform.landing.verify import verify
from data_platform.stores.local import LocalStore
from data_platform.sync import rebuild
from data_platform.sync.load import load_pending, loaded_marks
from data_platform.tables import TableId
from data_platform_tests.sync.conftest import Project

ORDERS = TableId("shop", "orders")
KEY = "a ledger key of a test, long enough to be taken"


@pytest.fixture
def signed(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DATA_PLATFORM_LEDGER_KEY", KEY)
    project = Project(tmp_path, database).catalog({"orders": {"key": "id"}})
    project.execute(
        "create table orders (id int primary key, total numeric(10,2))",
        "insert into orders select n, n from generate_series(1, 10) n",
    )
    project.good()
    return project


@pytest.mark.slow
def test_forged_rows_with_every_digest_made_anew_are_refused_everywhere(
    signed: Project, tmp_path: Path
) -> None:
    platform = signed.platform()
    landing = tmp_path / "landing"
    head = platform.ledger.head(ORDERS)
    assert head is not None and head.signature
    out = tmp_path / "x.pth"
    for evil in ("total", "type"):
        sequence = head.sequence + 1
        part = landing / f"shop/orders/batches/{sequence:08d}-evil/part-0000.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        duckdb.sql(
            "select 1::integer as id, 999.99::decimal(10,2) as total, 9::bigint as _source_xmin"
        ).write_parquet(str(part))
        named = Part(str(part.relative_to(landing)), 1, part.stat().st_size, sha256_of(part))
        columns = head.columns
        if evil == "type":
            columns = (replace(columns[0], type=f"INTEGER; COPY (SELECT 1) TO '{out}'"), *columns[1:])
        forged = replace(
            head, sequence=sequence, operation="changes", load="merge", previous=head.digest, nonce="evil" * 8,
            columns=columns, parts=(named,), rows=1, fingerprints={}, measured_whole=False,
        ).sealed()  # fmt: skip
        path = landing / manifest_key(ORDERS, sequence)
        path.write_bytes(forged.to_json())
        assert verify(platform.ledger, ORDERS, platform.clock()).problems
        with pytest.raises(LedgerBroken):
            load_pending(platform, ORDERS)
        assert isinstance(signed.sync()["orders"].error, LedgerBroken)
        with pytest.raises(LedgerBroken):
            rebuild.rebuild(platform, tmp_path / "rebuilt.duckdb")
        # and with no key, the type is still none
        if evil == "type":
            with pytest.raises(LedgerBroken, match="a column's type is invalid"):
                Ledger(LocalStore(landing)).head(ORDERS)
        assert not out.exists()
        path.unlink()
    assert signed.rows("select count(*), max(total) from raw_shop.orders") == [(10, 10)]
    signed.good()


@pytest.mark.slow
def test_a_landing_store_set_back_is_told_by_the_warehouse(signed: Project, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "landing", tmp_path / "older")
    signed.execute("update orders set total = 77 where id = 3")
    signed.good()
    shutil.rmtree(tmp_path / "landing")
    shutil.copytree(tmp_path / "older", tmp_path / "landing")
    platform = signed.platform()
    assert not verify(platform.ledger, ORDERS, platform.clock(), since=0).problems
    mark = loaded_marks(platform)[ORDERS]
    (problem,) = verify(platform.ledger, ORDERS, platform.clock(), since=0, loaded=mark).problems
    assert "was loaded into the warehouse" in problem
    assert isinstance(signed.sync()["orders"].error, LedgerBroken)
