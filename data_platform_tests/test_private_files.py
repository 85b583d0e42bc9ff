"""Other accounts read nothing that the platform makes, and no folder that somebody prepared is trusted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform.backups.instance import unpack
from data_platform.errors import LandingError
from data_platform.private_files import is_own, make_private, open_to_others
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.settings import FAST
from data_platform.stores._scratch import locked_folder, sweep
from data_platform.stores.local import LocalStore
from data_platform.stores.s3.config import S3StoreConfig
from data_platform.stores.s3.store import S3Store
from data_platform.warehouses.duckdb.config import DuckDBConfig

LONG_AGO = 1_000_000_000


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that leaves everything open to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def old_files(folder: Path) -> list[Path]:
    """A user's old things: a file, a folder with a file, and names that look like ours."""
    (folder / "photos").mkdir(parents=True)
    found = [folder / "thesis", folder / "photos" / "one", folder / "put-things-here"]
    for path in found:
        path.write_text("mine")
        os.utime(path, (LONG_AGO, LONG_AGO))
    os.utime(folder / "photos", (LONG_AGO, LONG_AGO))
    return found


def test_a_link_in_the_scratch_folder_s_place_is_refused_and_nothing_behind_it_goes(tmp_path: Path) -> None:
    kept = old_files(tmp_path / "home")
    (tmp_path / "data-platform-0").symlink_to(tmp_path / "home")
    store = S3Store(S3StoreConfig(kind="s3", bucket="acme"), tmp_path / "data-platform-0")
    with (
        pytest.raises(LandingError, match="is a link, belongs to another user or can be written"),
        store.scratch(),
    ):
        pass
    sweep(tmp_path / "data-platform-0")
    assert all(path.exists() for path in kept)
    dangling = S3Store(S3StoreConfig(kind="s3", bucket="acme"), tmp_path / "dangling")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(LandingError, match="is a link"), dangling.scratch():
        pass
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_others_may_write_to_or_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "scratch"
    base.mkdir()
    base.chmod(0o777)
    store = S3Store(S3StoreConfig(kind="s3", bucket="acme"), base)
    with pytest.raises(LandingError, match="chmod go-rwx"), store.scratch():
        pass
    base.chmod(0o700)
    with store.scratch():
        pass
    monkeypatch.setattr(os, "geteuid", lambda: base.stat().st_uid + 1)
    with pytest.raises(LandingError, match="belongs to another user"), store.scratch():
        pass


def test_the_sweep_takes_only_what_was_made_here(tmp_path: Path) -> None:
    base = tmp_path / "scratch"
    make_private(base)
    elsewhere = old_files(tmp_path / "home")
    theirs = old_files(base)
    (base / "parts-link").symlink_to(tmp_path / "home")
    (base / "put-link").symlink_to(tmp_path / "home" / "thesis")
    (base / "parts-dead").mkdir()
    (base / "parts-dead" / ".lock").symlink_to(tmp_path / "home" / "thesis")
    for name in ("parts-dead", "parts-link", "put-link"):
        os.utime(base / name, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    ours = base / "put-abandoned"
    ours.write_bytes(b"")
    os.utime(ours, (LONG_AGO, LONG_AGO))
    with locked_folder(base) as living:
        sweep(base)
        assert living.exists()
    assert not ours.exists() and not (base / "put-things-here").exists()
    assert all(path.exists() for path in elsewhere)
    assert all(path.exists() for path in theirs if path.name != "put-things-here")


def test_what_is_kept_is_closed_to_others_whatever_the_umask(tmp_path: Path, careless: None) -> None:
    store = LocalStore(tmp_path / "a" / "landing")
    store.put_new("t/one", b"1")
    store.put_hint("t/hint", b"2")
    with store.scratch() as folder:
        (folder / "x").write_bytes(b"3")
        store.put_file("t/part", folder / "x")
    with DuckDBConfig(path=Path("b/warehouse.duckdb")).open(tmp_path) as warehouse:
        warehouse.query("create table t as select 1 as a")
    (tmp_path / "packed").write_bytes(b"4")
    unpack(tmp_path / "packed", tmp_path / "a" / "unpacked")
    found = [*(tmp_path / "a").rglob("*"), *(tmp_path / "b").rglob("*"), tmp_path / "a"]
    assert len(found) > 8
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_a_command_leaves_nothing_open(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.umask(0)\n"
        "from data_platform.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "open(sys.argv[1], 'w').close(); os.mkdir(sys.argv[1] + '-folder')\n"
    )
    made = tmp_path / "made"
    subprocess.run([sys.executable, "-c", code, str(made)], check=True, capture_output=True)
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.with_name("made-folder").stat().st_mode & 0o777 == 0o700


def test_what_others_may_reach_is_told_by_every_folder_above(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    file.chmod(0o644)
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        folder.chmod(0o755)
    outside = all(folder.stat().st_mode & 0o011 for folder in tmp_path.resolve().parents)
    tmp_path.chmod(0o755)
    assert open_to_others(file) == outside
    (tmp_path / "a").chmod(0o700)
    assert not open_to_others(file) and not open_to_others(tmp_path / "none")
    assert is_own(tmp_path / "a") and not is_own(file)


@pytest.mark.slow
def test_the_sandbox_s_server_runs_whatever_the_umask_and_its_log_is_closed(server_folder: Path) -> None:
    before = os.umask(0o077)
    try:
        with PostgresServer(server_folder / "umask" / "deep", settings=FAST).start() as server:
            with server.connect() as connection:
                assert connection.execute("select 1").fetchone() == (1,)
            assert server.log_path.stat().st_mode & 0o777 == 0o600
            assert server.data_dir.stat().st_mode & 0o077 == 0
    finally:
        os.umask(before)
