"""PostgreSQL's programs: found by their version, judged by what they say, ended with their children."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from data_platform.backups.database.tools import EndedEarly, Programs
from data_platform.errors import BackupError, ConfigurationError
from data_platform.local_postgres import alive
from data_platform.sources.server_access import ServerAccess

ACCESS = ServerAccess("shop", "SHOP_URL", {"host": "db", "user": "keeper", "password": "hunter2-secret"})


def program(folder: Path, name: str, script: str) -> Programs:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Programs(folder, 18)


def test_the_programs_of_the_package_are_found_by_their_version() -> None:
    found = Programs.find(18)
    assert "18" in found.run("pg_verifybackup", "--version")


def test_another_version_is_refused_by_name(tmp_path: Path) -> None:
    program(tmp_path, "pg_basebackup", "echo 'pg_basebackup (PostgreSQL) 14.3'")
    with pytest.raises(ConfigurationError, match=r"version 18.*found: 14 in"):
        Programs.find(18, tmp_path)


def test_an_exit_code_is_a_failure_with_the_programs_words(tmp_path: Path) -> None:
    programs = program(tmp_path, "pg_verifybackup", "echo 'pg_verifybackup: error: it is gone' >&2; exit 1")
    with pytest.raises(BackupError, match="ended with 1: pg_verifybackup: error: it is gone"):
        programs.run("pg_verifybackup")


def test_an_error_is_a_failure_though_it_then_says_success_and_ends_with_0(tmp_path: Path) -> None:
    script = "echo 'pg_verifybackup: error: checksum mismatch for file \"base/1\"' >&2; echo 'backup successfully verified'"
    programs = program(tmp_path, "pg_verifybackup", script)
    with pytest.raises(BackupError, match=r"reported an error: .*checksum mismatch"):
        programs.run("pg_verifybackup")


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    programs = program(tmp_path, "pg_dump", "echo 'pg_dump: warning: circular' >&2; echo fine")
    assert programs.run("pg_dump") == "fine\n"


def test_no_password_is_in_a_command_line_or_an_error(tmp_path: Path) -> None:
    script = (
        'echo "$@" > seen; echo "$PGPASSWORD" > given; echo "x: error: hunter2-secret was wrong" >&2; exit 3'
    )
    programs = program(tmp_path, "pg_basebackup", f"cd {tmp_path}; {script}")
    with pytest.raises(BackupError) as raised:
        programs.run("pg_basebackup", "--verbose", access=ACCESS)
    assert (
        "hunter2" not in (tmp_path / "seen").read_text() and "user=keeper" in (tmp_path / "seen").read_text()
    )
    assert (tmp_path / "given").read_text() == "hunter2-secret\n"
    assert "hunter2" not in str(raised.value) and "*** was wrong" in str(raised.value)


def test_an_interrupted_program_is_ended_with_its_children(tmp_path: Path) -> None:
    programs = program(tmp_path, "pg_basebackup", f"sleep 600 & echo $! > {tmp_path}/child; echo begun; wait")
    with pytest.raises(KeyboardInterrupt), programs.started("pg_basebackup") as running:
        assert running.output.readline() == b"begun\n"
        raise KeyboardInterrupt
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while alive(child) and _state(child) != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child) or _state(child) == "Z"


def test_output_that_ends_early_is_explained_by_the_program(tmp_path: Path) -> None:
    programs = program(tmp_path, "pg_basebackup", "echo half; echo 'x: error: server closed' >&2; exit 1")
    with pytest.raises(BackupError, match="server closed"), programs.started("pg_basebackup") as running:
        running.output.read()
        running.process.wait()
        raise EndedEarly


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
