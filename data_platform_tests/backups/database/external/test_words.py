"""What the programs say, and what is refused before any of them runs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from data_platform.backups.database.external.barman_cloud import _WRONG, BarmanRepository
from data_platform.backups.database.external.config import BarmanCloud, PgBackRest
from data_platform.backups.database.external.pgbackrest import PgBackRestRepository, verify_problems
from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.manifest import DatabaseBackup, Outside
from data_platform.backups.database.wal import Heartbeat
from data_platform.backups.manifest import BackupObject, backup_id
from data_platform.doctor.databases import look_at_databases
from data_platform.errors import BackupDamaged, ConfigurationError
from data_platform.landing.signing import NOT_SIGNED
from data_platform.sync import Platform, backup_classes, open_platform
from data_platform.sync.backup import archives
from data_platform.sync.copied_databases import Databases
from data_platform.sync.database_backup import back_up_database, not_encrypted
from data_platform_tests.backups.database.test_retention import NOW

WHOLE = "2026-11-30 21:59:26.921 P00   INFO: verify command end: completed successfully (770ms)\n"
DAMAGED = """\
2026-11-30 22:00:06.127 P01   INFO: invalid checksum '20261130-215917F/pg_data/base/1/2838.gz'
2026-11-30 22:00:06.182 P00   INFO: stanza: shop
                                    status: error
                                      backup: 20261130-215917F, status: invalid, total files checked: 965, total valid files: 964
                                        checksum invalid: 1
2026-11-30 22:00:06.183 P00   INFO: verify command end: completed successfully (447ms)
"""
STORE = {"kind": "s3", "bucket": "acme-barman", "access_key_env": "KEY", "secret_key_env": "SECRET"}


def test_the_status_of_a_verify_counts_and_not_its_end() -> None:
    assert verify_problems(WHOLE) == []
    assert (
        verify_problems("stanza: shop\nstatus: ok\n backup: X, status: valid, checksum invalid: 0\n" + WHOLE)
        == []
    )
    found = verify_problems(DAMAGED)
    assert "status: error" in found and any("2838.gz" in one for one in found)
    assert verify_problems(WHOLE.replace("verify command end", "verify")) != []
    assert (
        verify_problems(f"archiveId: 15-1, total WAL checked: 5, missing: 1, checksum invalid: 0\n{WHOLE}")
        != []
    )


def test_an_error_in_barmans_log_is_found() -> None:
    assert _WRONG.search("2026-11-30 22:06:09,051 [7176] ERROR: WAL file X for server shop does not exist")
    assert not _WRONG.search("2026-11-30 22:06:09,051 [7176] WARNING: an ERROR: in the middle")


@pytest.mark.parametrize("kind", ["barman_cloud", "pgbackrest"])
def test_a_program_that_is_not_installed_is_named_with_the_way_to_install_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if kind == "barman_cloud":
        block = BarmanCloud(store=STORE, server="shop")  # type: ignore[arg-type]
        with pytest.raises(
            ConfigurationError, match=r"barman-cloud-backup is installed neither .* `make barman`"
        ):
            BarmanRepository(block, None, {"KEY": "k", "SECRET": "s"}, tmp_path).look()
    else:
        with pytest.raises(ConfigurationError, match=r"pgbackrest is not in PATH\. Install"):
            PgBackRestRepository(PgBackRest(stanza="shop"), None, {}, tmp_path).look()


def test_a_secret_that_is_not_set_is_named(tmp_path: Path) -> None:
    block = BarmanCloud(store=STORE, server="shop")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="environment variable KEY"):
        BarmanRepository(block, None, {}, tmp_path)._credentials()
    cipher = PgBackRest(stanza="shop", secrets={"repo1-cipher-pass": "CIPHER"})
    with pytest.raises(ConfigurationError, match=r"environment variable CIPHER, .* for repo1-cipher-pass"):
        PgBackRestRepository(cipher, None, {}, tmp_path)._secrets()


def test_secrets_reach_a_program_by_its_environment_and_no_error_shows_them(tmp_path: Path) -> None:
    """The program prints what it was given: its arguments, and the key that it found in its environment."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    program = folder / "barman-cloud-backup"
    program.write_text(
        '#!/bin/sh\necho "2026-11-30 22:06:09,051 [1] ERROR: got $* and $AWS_SECRET_ACCESS_KEY" >&2\n'
    )
    program.chmod(0o755)
    block = BarmanCloud(store=STORE, server="shop", environment=tmp_path / "env")  # type: ignore[arg-type]
    repository = BarmanRepository(block, None, {"KEY": "k-1234", "SECRET": "s-5678"}, tmp_path)
    with pytest.raises(
        Exception, match=r"ended with 0, but reported an error: .*s3://acme-barman shop and \*\*\*"
    ) as raised:
        repository._run("barman-cloud-backup")
    assert "s-5678" not in str(raised.value) and "k-1234" not in str(raised.value)


CATALOG = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
    backups:
      store: {kind: local, path: backups}
      start: 2026-11-01
"""
SOURCE = """\
source: shop
kind: postgres
connection: {url_env: SHOP_URL}
backups: {database: {engine: pgbackrest, pgbackrest: {stanza: shop}}}
tables:
  orders: {key: id, personal: {note: keep}}
"""


def _opened(root: Path, catalog: str = CATALOG, source: str = SOURCE) -> Platform:
    (root / "catalog" / "sources").mkdir(parents=True)
    (root / "catalog/platform.yaml").write_text(catalog)
    (root / "catalog/sources/shop.yaml").write_text(source)
    return open_platform(root, "local", {"SHOP_URL": "postgresql://nobody@127.0.0.1:1/shop"})


def test_the_plan_and_the_copies_say_that_there_is_one_repository(tmp_path: Path) -> None:
    platform = _opened(tmp_path)
    backup, drill = (row for row in backup_classes.plan(platform) if row.name == "database shop")
    assert backup.stores == drill.stores == ("pgBackRest",)
    assert "and nowhere else: not encrypted by this platform, and in none of the copies" in backup.note
    copy = Databases().look(platform, archives(platform)[0], random.Random(1))
    assert not copy.there and "shop only in pgbackrest:shop" in copy.holds


def test_doctor_names_a_program_that_is_not_there_and_warns_of_its_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = _opened(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (missing,) = look_at_databases(platform)
    assert (missing.state, missing.check) == ("fail", "backups of shop") and "not in PATH" in missing.found
    program = tmp_path / "pgbackrest"
    program.write_text("#!/bin/sh\necho pgBackRest 2.45\n")
    program.chmod(0o755)
    (there,) = look_at_databases(platform)
    assert there.state == "warn" and there.found.startswith("pgBackRest 2.45 is installed. pgBackRest keeps")


def test_a_repository_in_clear_is_refused_where_backups_are_encrypted(tmp_path: Path) -> None:
    """Before anything is connected to."""
    age = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    encrypted = f"{CATALOG}      encryption: {{recipients: [{age}], identities_env: IDENTITIES}}\n"
    platform = _opened(tmp_path, encrypted)
    with pytest.raises(
        ConfigurationError, match=r"encrypts every backup, but not those that pgBackRest keeps"
    ):
        back_up_database(platform, "shop")
    (found,) = [one for one in look_at_databases(platform) if one.state == "fail"]
    assert "encrypts every backup" in found.found or "not in PATH" in found.found
    says_so = SOURCE.replace("{stanza: shop}", "{stanza: shop, encrypted: true}")
    assert not_encrypted(_opened(tmp_path / "other", encrypted, says_so), "shop") == ""


def test_a_record_of_another_programs_backup_is_read_as_it_was_written() -> None:
    made = _record()
    again = DatabaseBackup.from_json(made.to_json(NOT_SIGNED), "here", NOT_SIGNED)
    assert again == made and again.bytes == 10 + 4711


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"id": "../../x"}, "its id in the repository is invalid"),
        ({"segment_bytes": 12}, "a size is invalid"),
        ({"objects": (BackupObject("shop/../../x", 1, "0" * 64),)}, "an object lies elsewhere"),
    ],
)
def test_a_forged_record_leads_nowhere(changed: dict[str, object], why: str) -> None:
    given = {
        "id": "20261130T220539",
        "place": "s3://b/shop",
        "bytes": 1,
        "segment_bytes": 16 << 20,
        **changed,
    }
    forged = _record(Outside(**given))  # type: ignore[arg-type]
    with pytest.raises(BackupDamaged, match=why):
        DatabaseBackup.from_json(forged.to_json(NOT_SIGNED), "here", NOT_SIGNED)


def _record(outside: Outside | None = None) -> DatabaseBackup:
    id_ = backup_id(NOW, "0" * 8)
    return DatabaseBackup(
        id=id_, source="shop", environment="local", engine="barman_cloud", way="full", parent="", system="77",
        version=180006, began_at=NOW, ended_at=NOW, database="shop", plain_bytes=99,
        objects=(BackupObject(f"database/shop/objects/{id_}/program.json.zst", 10, "a" * 64),),
        timeline=1, start=Lsn.parse("0/2000028"), end=Lsn.parse("0/2000120"),
        outside=outside or Outside(
            "20261130T220539", "s3://acme-barman/shop", 4711, 16 << 20,
            (BackupObject("shop/base/20261130T220539/data.tar.gz", 4711, "b" * 64),),
            Heartbeat(NOW, Lsn.parse("0/3000000"), True),
        ),
    )  # fmt: skip
