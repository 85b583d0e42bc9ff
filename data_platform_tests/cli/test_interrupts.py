"""Ctrl-C ends a command with 130 and one line, wherever it meets it, and what was committed stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from data_platform.cli import app as app_module
from data_platform.cli.interrupts import MESSAGE
from data_platform.errors import WarehouseError
from data_platform_tests.sync.conftest import HASH_KEY, Project, project

__all__ = ["project"]


@pytest.fixture(autouse=True)
def not_ignored() -> Iterator[None]:
    """A shell that starts tests in the background makes them ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "surfaces",
    [KeyboardInterrupt(), RuntimeError("Query interrupted"), WarehouseError("could not load"), None],
)
def test_whatever_an_engine_makes_of_it(
    surfaces: BaseException | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signal comes, and what waits raises ``surfaces``, or takes it for a failed table and goes on."""

    def interrupted(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if surfaces is not None:
                raise surfaces from None

    monkeypatch.setattr(app_module, "command_tree", lambda _: interrupted)
    assert app_module.run(["status"]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"Error: {MESSAGE}\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Finalized:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_where_nothing_can_be_raised_no_traceback_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The interrupt counts all the same, and what else is ignored is printed as ever."""
    heard: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: heard.append(what.exc_type))

    class Broken:
        def __del__(self) -> None:
            raise ValueError

    def interrupted(*_: object, **__: object) -> None:
        Broken()
        Finalized()

    monkeypatch.setattr(app_module, "command_tree", lambda _: interrupted)
    assert app_module.run(["status"]) == 130
    assert capsys.readouterr().err == f"Error: {MESSAGE}\n"
    assert heard == [ValueError]


@pytest.mark.slow
def test_a_sync_is_interrupted_at_any_instant(
    project: Project, seeds: Callable[[int], Sequence[int]]
) -> None:
    project.execute(
        "create table big (id int primary key, a text, b numeric)",
        "insert into big select g, md5(g::text), g from generate_series(1, 300000) g",
        "create table small (id int primary key)",
        "insert into small select generate_series(1, 100)",
    )
    project.catalog({"big": {"key": "id"}, "small": {"key": "id"}}, connection={"connections": 1})
    environment = {
        **os.environ,
        "SHOP_URL": project.url,
        "DATA_PLATFORM_HASH_KEY": HASH_KEY,
        "DATA_PLATFORM_HOME": str(project.root),
        "DATA_PLATFORM_ENV": "local",
    }
    # the command says when it has begun, or an interrupt would meet the interpreter's own start
    begin = (
        "import sys; print('begun', flush=True)\n"
        "from data_platform.cli import main; main(['sync', '--refresh', 'big', '--refresh', 'small'])"
    )
    interrupted = 0
    for seed in seeds(6):
        with subprocess.Popen(
            [sys.executable, "-c", begin],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            try:
                process.wait(timeout=random.Random(seed).uniform(0.05, 2.5))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=120)
        assert "Traceback" not in out + err, err
        if process.returncode == 0:  # it was done before
            continue
        interrupted += 1
        assert process.returncode == 130, (seed, out, err)
        assert err.strip().splitlines()[-1].endswith(MESSAGE)
    assert interrupted
    assert project.good()["big"].error is None
    assert project.rows("select count(*), sum(id) from raw_shop.big") == [(300_000, 300_000 * 300_001 // 2)]


@pytest.mark.slow
def test_a_statement_that_takes_hours_ends_with_the_command(project: Project) -> None:
    """The engine's threads work on when Python leaves it, and closing the warehouse waits for them."""
    project.execute("create table t (id int primary key)")
    project.catalog({"t": {"key": "id"}}).good()
    endless = "select count(*) from range(100000000000) a where a.range * a.range % 7 = 3"
    begin = (
        "from data_platform.warehouses.duckdb import warehouse\n"
        "fetch = warehouse.DuckDBWarehouse._fetch\n"
        "def fetching(*given): print('begun', flush=True); return fetch(*given)\n"
        "warehouse.DuckDBWarehouse._fetch = fetching\n"
        f"from data_platform.cli import main; main(['query', {endless!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", begin],
        env={**os.environ, "DATA_PLATFORM_HOME": str(project.root), "DATA_PLATFORM_ENV": "local"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(0.5)  # for the engine's threads to be at work
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, "", f"Error: {MESSAGE}\n")
