"""`--costs` charges CPU seconds, a started process's too, to the test that used them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_platform_tests import costs

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
from data_platform_tests.costs import Bill, Meter

def pytest_configure(config):
    config.pluginmanager.register(Meter())
    config.pluginmanager.register(Bill(2))
"""
TESTS = """
import subprocess, sys, time

def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass

def test_it_waits():
    time.sleep(1.5)

def test_it_works():
    burn(0.2)

def test_what_it_starts_works():
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.6: pass"], check=True)
"""


@pytest.mark.slow
def test_the_dearest_tests_are_those_that_work_and_not_those_that_wait(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^ *([\d.]+) +[\d.]+ +\S*test_some.py::(\w+)$", done.stdout, re.M)
    assert [name for _, name in found] == ["test_what_it_starts_works", "test_it_works"], done.stdout
    assert float(found[0][0]) >= 0.5 and float(found[1][0]) >= 0.1


def test_no_test_is_charged_less_than_nothing() -> None:
    """A killed process takes what its children used with it."""
    used = iter((5.0, 3.0, 4.0))
    meter = costs.Meter(lambda: next(used))
    meter.pytest_collection_finish()
    charged = []
    for _ in range(2):
        hook, report = meter.pytest_runtest_makereport(), object.__new__(pytest.TestReport)
        next(hook)
        with pytest.raises(StopIteration):
            hook.send(report)
        charged.append(report.cpu_seconds)  # type: ignore[attr-defined]
    assert charged == [0.0, 1.0]


def test_every_option_of_the_tests_is_documented() -> None:
    options = set(
        re.findall(r'addoption\(\s*"(--[a-z-]+)"', (ROOT / "data_platform_tests/conftest.py").read_text())
    )
    documented = set(re.findall(r"`(?:pytest [^`]*)?(--[a-z-]+)", (ROOT / "docs/testing.md").read_text()))
    assert len(options) > 5 and options <= documented, options - documented
