"""dbt forked from a process that has imported it does what the one that it starts does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from data_platform_tests.dbt.preforked import program

pytestmark = pytest.mark.slow
SETTINGS = """
name: small
profile: small
flags: {send_anonymous_usage_stats: false}
"""
PROFILES = """
small: {target: dev, outputs: {dev: {type: duckdb, path: ":memory:"}}}
"""
FOR_EVER = "{% for _ in range(90000) %}" * 4 + "{% endfor %}" * 4


@pytest.fixture(scope="module")
def dbt() -> Iterator[Path]:
    with program() as path:
        yield path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dbt_project.yml").write_text(SETTINGS)
    (tmp_path / "profiles.yml").write_text(PROFILES)
    return tmp_path


def show(dbt: Path, folder: Path, sql: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [dbt, "show", "--quiet", "--inline", sql],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_has_the_folder_the_environment_and_the_streams_of_who_starts_it(dbt: Path, folder: Path) -> None:
    asks = "select '{{ env_var('WORD', 'no') }}' || ' word' as said"
    with show(dbt, folder, asks, WORD="one") as one, show(dbt, folder, asks) as other:
        assert "one word" in one.communicate()[0]
        assert "no word" in other.communicate()[0]
    assert (one.returncode, other.returncode) == (0, 0)
    with show(dbt, folder, "select nothing") as failing:
        assert '"nothing" was not found' in failing.communicate()[0]
    assert failing.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_what_was_started(dbt: Path, folder: Path, number: signal.Signals) -> None:
    before = set(psutil.Process().children(recursive=True))
    with show(dbt, folder, FOR_EVER) as started:
        log = folder / "logs" / "dbt.log"
        while not (log.exists() and "Registered adapter" in log.read_text()):
            assert started.poll() is None
        started.send_signal(number)
        started.communicate()
    assert started.returncode == -number
    _, alive = psutil.wait_procs(
        [one for one in psutil.Process().children(recursive=True) if one not in before], 60
    )
    assert alive == []
