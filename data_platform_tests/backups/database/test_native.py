"""Base backups of a real server: streamed, proven, incremental, and refused where they would be worth nothing."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database import stream
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.tools import Programs
from data_platform.cli.app import run
from data_platform.errors import BackupError, LandingError
from data_platform.sandbox.server import PostgresServer
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform
from data_platform.sync.backup import archives
from data_platform.sync.database_backup import (
    back_up_database,
    listed,
    newest_backups,
    prunable_databases,
    prune_database,
)
from data_platform_tests.backups.database.conftest import Company, keeper_url

pytestmark = pytest.mark.slow
TWO = "{offsite: {kind: local, path: offsite}}"


def primary(platform: Platform) -> Repository:
    return Repository(archives(platform)[0], "shop")


def test_a_full_backup_and_an_incremental_one_in_every_archive(company: Company) -> None:
    platform = company.platform(copies=TWO)
    first = back_up_database(platform, "shop")
    company.execute("update orders set note = 'changed' where id = 7")
    second = back_up_database(platform, "shop")
    assert (first.backup.way, second.backup.way, second.chain) == ("full", "incremental", 2)
    assert second.backup.parent == first.backup.id and second.backup.start > first.backup.end  # type: ignore[operator]
    assert first.stored == second.stored == ("primary", "offsite")
    assert second.backup.bytes < first.backup.bytes / 10
    for archive in archives(platform):
        there = Repository(archive, "shop")
        assert [there.damage(there.backup(id_), deep=True) for id_ in there.ids()] == [[], []]
    assert [(one.backup.id, one.stored) for one in listed(platform, "shop")] == [
        (second.backup.id, second.stored),
        (first.backup.id, first.stored),
    ]
    assert [age.newest and age.newest.id for age in newest_backups(platform, "shop")] == [
        second.backup.id
    ] * 2


def test_the_stream_can_be_restored_without_this_code(company: Company, tmp_path: Path) -> None:
    platform = company.platform()
    made = back_up_database(platform, "shop").backup
    chunks = sorted(str(tmp_path / "backups" / one.key) for one in made.objects if "base-" in one.key)
    out = tmp_path / "by_hand"
    out.mkdir()
    script = "import sys, pyarrow as pa\nfor p in sys.argv[1:]:\n sys.stdout.buffer.write(pa.CompressedInputStream(p, 'zstd').read())"
    plain = subprocess.run(["python", "-c", script, *chunks], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(out)], input=plain, check=True)
    assert "successfully verified" in Programs.find(18).run("pg_verifybackup", str(out))


def test_objects_have_a_bounded_size(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_BYTES", 4 << 20)
    platform = company.platform()
    made = back_up_database(platform, "shop").backup
    assert len(made.objects) == -(-made.plain_bytes // (4 << 20)) + 1
    assert primary(platform).damage(made, deep=True) == []


def test_a_full_one_is_made_when_asked_for_and_when_the_chain_is_broken(company: Company) -> None:
    platform = company.platform(copies=TWO)
    first = back_up_database(platform, "shop").backup
    assert back_up_database(platform, "shop", full=True).backup.way == "full"
    last = back_up_database(platform, "shop").backup
    assert last.way == "incremental"
    for name in ("backups", "offsite"):  # from one of them the other one would get it back
        (company.root / name / last.objects[0].key).unlink()
    assert back_up_database(platform, "shop").backup.way == "full"
    assert first.system == last.system


def test_a_server_that_was_made_anew_gets_a_full_backup(company: Company, server_folder: Path) -> None:
    back_up_database(company.platform(), "shop")
    with PostgresServer(server_folder / "made-anew", settings=company.server.settings) as other:
        other.create_database(company.database)
        with other.connect() as connection:
            connection.execute("CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'of-the-keeper'")
        again = back_up_database(Company(company.root, other, company.database).platform(), "shop").backup
    assert again.way == "full" and "is another one" in again.notes[0]


def test_summaries_that_are_gone_make_a_full_backup_that_says_so(company: Company) -> None:
    back_up_database(company.platform(), "shop")
    with company.server.connect() as connection:
        connection.execute("alter system set summarize_wal = off")
        connection.execute("select pg_reload_conf()")
    try:
        again = back_up_database(company.platform(), "shop").backup
    finally:
        with company.server.connect() as connection:
            connection.execute("alter system set summarize_wal = on")
            connection.execute("select pg_reload_conf()")
    assert again.way == "full" and "summarize_wal" in again.notes[0]


def test_a_role_without_the_right_is_refused_with_the_way_out(company: Company) -> None:
    company.execute("create role plain_reader login password 'of-the-reader'")
    try:
        platform = company.platform()
        url = keeper_url(company.server, company.database).replace(
            "keeper:of-the-keeper", "plain_reader:of-the-reader"
        )
        platform.environ["KEEPER_URL"] = url  # type: ignore[index]
        with pytest.raises(BackupError, match=r"ALTER ROLE .* REPLICATION.*engine: logical") as raised:
            back_up_database(platform, "shop")
        assert "of-the-reader" not in str(raised.value)
    finally:
        company.execute("drop role plain_reader")


def test_a_tablespace_elsewhere_is_refused_by_name(company: Company, server_folder: Path) -> None:
    company.execute("set allow_in_place_tablespaces = on", "create tablespace fast_disk location ''")
    try:
        with pytest.raises(BackupError, match="fast_disk"):
            back_up_database(company.platform(), "shop")
    finally:
        company.execute("drop tablespace fast_disk")


def test_one_dead_archive_does_not_starve_the_others(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Archive.add

    def dead(self: Archive, *given: object) -> None:
        if self.name == "primary":
            raise LandingError("the disk is gone")
        add(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Archive, "add", dead)
    platform = company.platform(copies=TWO)
    report = back_up_database(platform, "shop")
    assert report.stored == ("offsite",) and str(report.failed["primary"]) == "the disk is gone"
    assert primary(platform).ids() == [] and Repository(archives(platform)[1], "shop").ids() == [
        report.backup.id
    ]


def test_if_every_archive_fails_nothing_is_committed(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    flipped = LocalStore.put_file

    def flip(self: LocalStore, key: str, path: Path, sha256: str | None = None) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        flipped(self, key, path, sha256)

    monkeypatch.setattr(LocalStore, "put_file", flip)
    platform = company.platform()
    with pytest.raises(BackupError, match="SHA-256"):
        back_up_database(platform, "shop")
    assert primary(platform).ids() == []


def test_what_is_too_old_is_only_listed_until_it_is_asked_for(company: Company) -> None:
    platform = company.platform("{engine: native, url_env: KEEPER_URL, keep_days: 0.00001}")
    first = back_up_database(platform, "shop", full=True).backup
    second = back_up_database(platform, "shop", full=True).backup
    time.sleep(1)
    assert prunable_databases(platform, "shop").gone == {"primary": [first.id]}
    assert len(primary(platform).ids()) == 2
    assert prune_database(platform, "shop").gone == {"primary": [first.id]}
    assert primary(platform).ids() == [second.id]
    assert primary(platform).damage(second, deep=True) == []


def test_the_command(
    company: Company, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = company.platform()
    for name, value in platform.environ.items():
        monkeypatch.setenv(name, value)
    assert run(["backup", "database", "shop", "--json", "--root", str(company.root)]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["ok"] and made["kind"] == "full" and made["stored"] == ["primary"]
    assert run(["backup", "database", "shop", "--full", "--root", str(company.root)]) == 0
    assert "full backup of the database of shop" in capsys.readouterr().out
    assert run(["backup", "list", "--json", "--root", str(company.root)]) == 0
    held = json.loads(capsys.readouterr().out)
    assert [one["class"] for one in held] == ["database shop"] * 2 and held[1]["id"] == made["id"]
    assert run(["backup", "plan", "--json", "--root", str(company.root)]) == 0
    plan = [one for one in json.loads(capsys.readouterr().out) if one["class"] == "database shop"]
    assert [(one["act"], one["kept_days"], one["count"]) for one in plan] == [
        ("backup", 7, 168),
        ("drill", None, 0),
    ]
    assert plan[0]["bytes"] > 0
    assert run(["backup", "database", "nothing", "--root", str(company.root)]) == 2
