"""What `make dev` starts, in a process of its own over a project of the test's own, with Chromium on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_platform_tests.defs.parsed import copy_target
from data_platform_tests.end_to_end.foreign import Site
from data_platform_tests.repository import copy_catalog

ROOT = Path(__file__).resolve().parents[2]
BROWSER = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)
SCREENSHOTS = os.environ.get("DATA_PLATFORM_SCREENSHOTS")
EVIL = "evil.example"
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    f"--host-resolver-rules=MAP {EVIL} 127.0.0.1",  # a name of an attacker's, which leads here
)


class Interface:
    """What `make dev` starts in a process of its own, its GraphQL, and a page on it."""

    def __init__(self, root: Path, environ: dict[str, str], port: int, browser: Any, slack: Site) -> None:
        self.root, self.environ, self.port, self.browser = root, environ, port, browser
        self.slack = slack
        self.page = browser.new_page(viewport={"width": 1600, "height": 1000})
        self.page.set_default_timeout(60_000)
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str) -> Any:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def open(self, path: str) -> Any:
        self.page.goto(self.url + path)
        return self.page

    def picture(self, name: str) -> None:
        if SCREENSHOTS:
            self.page.wait_for_timeout(1500)
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"))

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(
            "{runsOrError(limit: 50) {... on Runs {results {runId status jobName}}}}"
        )["runsOrError"]["results"]
        return found

    def wait_for_new_run(self, known: set[str]) -> str:
        """The status of the first run beyond ``known``, once it has ended."""

        def ended() -> str | None:
            for run in self.runs():
                if run["runId"] not in known and run["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
                    return str(run["status"])
            return None

        return wait(ended, 300, "a run to end")


def wait(ready: Callable[[], Any], seconds: float, what: str) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := ready():
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


COMMENTS = (f"![table](http://{EVIL}/table) <img src=x>", f"![column](http://{EVIL}/column)")
"""What `discover` could have taken over from comments at a source of somebody else's."""


def write_comments(source: Path) -> None:
    text = source.read_text()
    for ours, theirs in zip(
        ("What the shop sells, one row a stock keeping unit.", "Name shown to customers."),
        COMMENTS,
        strict=True,
    ):
        assert text.count(ours) == 1, ours
        text = text.replace(ours, json.dumps(theirs))
    source.write_text(text)


@contextmanager
def started(root: Path, url: str, slack: Site) -> Iterator[Interface]:
    """`make dev` over the shop at ``url``, its project in ``root`` (an empty folder)."""
    from playwright.sync_api import sync_playwright

    copy_catalog(root)
    shutil.copytree(ROOT / "dbt", root / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    copy_target(ROOT, root)
    write_comments(root / "catalog" / "sources" / "shop.yaml")
    home = root / ".dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    port = free_port()
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "DATA_PLATFORM", "SLACK"))},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATA_PLATFORM_HOME": str(root),
        "DAGSTER_HOME": str(home),
        "DAGSTER_TELEMETRY_ENABLED": "false",
        "SHOP_DATABASE_URL": url,
        "SLACK_WEBHOOK_URL": f"http://127.0.0.1:{slack.port}/hook",
        "DATA_PLATFORM_UI_URL": f"http://127.0.0.1:{port}",
        "DATA_PLATFORM_HASH_KEY": "a test's key, long enough to be taken",
    }
    log = (root / "dagster.log").open("wb")
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "data_platform.defs.dev",
            "-w",
            str(ROOT / "workspace.yaml"),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ],
        cwd=root,
        env=environ,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
            interface = Interface(root, environ, port, browser, slack)
            wait(lambda: interface.ask("{version}")["version"], 240, "the UI to answer")
            yield interface
            browser.close()
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
        log.close()
