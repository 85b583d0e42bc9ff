"""BigQuery's own unload for a backup: an emulator that runs EXPORT DATA into a bucket of a server of Cloud Storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.backups.export import export
from data_platform.backups.manifest import backup_id
from data_platform.errors import WarehouseError
from data_platform_tests.backups.conftest import NOW
from data_platform_tests.engines.bigquery.server import emulator, missing
from data_platform_tests.servers.objects import BUCKET, gcs_emulator


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_a_table_is_exported_to_the_bucket_fetched_and_removed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gcs_emulator(tmp_path / "gcs") as storage, emulator(tmp_path / "bigquery", storage.url) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        config = server.config(tmp_path).model_copy(update={"staging": f"gs://{BUCKET}/backups"})
        written = tmp_path / "written"
        written.mkdir()
        with config.open(tmp_path) as warehouse:
            grammar = warehouse.grammar
            rows = "SELECT n, CONCAT('row ', CAST(n AS STRING)) AS note FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS n"
            warehouse.session.define(
                [
                    grammar.create_schema("raw_shop"),
                    f"CREATE TABLE {grammar.relation('raw_shop', 'many')} AS {rows}",
                    f"CREATE TABLE {grammar.relation('raw_shop', 'none')} (n INT64)",
                ]
            )
            exported = export(warehouse, written, backup_id(NOW, "0" * 8))
            assert [(table.label, table.rows) for table in exported.tables] == [
                ("raw_shop.many", 1000),
                ("raw_shop.none", 0),
            ]
            bucket = tmp_path / "gcs/data" / BUCKET
            assert bucket.exists() and not list(bucket.rglob("*.parquet")), "nothing is left in the bucket"
        elsewhere = config.model_copy(update={"staging": "gs://is-not-there/backups"})
        with (
            elsewhere.open(tmp_path) as warehouse,
            pytest.raises(WarehouseError, match="could not export a table for a backup"),
        ):
            export(warehouse, written, backup_id(NOW, "1" * 8))
