"""The files of deploy/monitoring with the real Prometheus and Alertmanager, from a number to the message."""

from __future__ import annotations

import json
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from data_platform.observability import prometheus
from data_platform.observability.gauges import Gauge, gauges

from .company import NOW, failed, health, table

FILES = Path(__file__).parents[2] / "deploy" / "monitoring"
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(
    not (PROMETHEUS and ALERTMANAGER and shutil.which("promtool") and shutil.which("amtool")),
    reason="no Prometheus and Alertmanager here; `make test-tools` installs them",
)
WAIT_SECONDS = 60


@pytest.mark.parametrize(
    "command",
    [
        ["promtool", "check", "config", "prometheus.yml"],
        ["promtool", "test", "rules", "rules_test.yml"],
        ["amtool", "check-config", "alertmanager.yml"],
    ],
)
def test_the_files_are_what_the_programs_take(command: list[str]) -> None:
    done = subprocess.run(command, cwd=FILES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def receiver() -> Iterator[tuple[int, queue.Queue[dict[str, Any]]]]:
    """Takes what Alertmanager sends to a webhook."""
    received: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, received
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def program(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def asked(base: str, query: str) -> list[dict[str, Any]]:
    address = f"{base}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(address) as answer:
        document = json.load(answer)
    assert document["status"] == "success"
    found: list[dict[str, Any]] = document["data"]["result"]
    return found


def eventually(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if value := found():
                return value
        except OSError:
            pass
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_failed_check_reaches_a_person_and_so_does_its_recovery(tmp_path: Path) -> None:
    """The committed rules, without their waiting times; the routes lead to a local receiver."""
    assert PROMETHEUS and ALERTMANAGER
    broken = table("orders", checks=(failed("revenue_gte_0", NOW, NOW),))
    values: list[Gauge] = []

    def measure(*changed: Any) -> None:
        now = Gauge("data_platform_examined_timestamp_seconds", time.time(), {})
        values[:] = [now, *(g for g in gauges(health(*changed), 1) if g.name != now.name)]

    measure(broken)
    own, manager = port(), port()
    (tmp_path / "rules.yml").write_text(re.sub(r"for: \w+", "for: 0s", (FILES / "rules.yml").read_text()))
    with ExitStack() as stack:
        hook, received = stack.enter_context(receiver())
        scraped = stack.enter_context(prometheus.serving(lambda: values, "127.0.0.1", 0))
        settings = (FILES / "prometheus.yml").read_text().replace("30s", "1s")
        (tmp_path / "prometheus.yml").write_text(settings.replace("9093", str(manager)).replace("9464", str(scraped)))  # fmt: skip
        (tmp_path / "alertmanager.yml").write_text(
            f"route: {{receiver: here, group_by: [alertname], group_wait: 0s, group_interval: 1s}}\n"
            f"receivers: [{{name: here, webhook_configs: [{{url: 'http://127.0.0.1:{hook}/', send_resolved: true}}]}}]\n"
        )
        stack.enter_context(
            program(
                tmp_path, ALERTMANAGER, "--config.file=alertmanager.yml", f"--web.listen-address=127.0.0.1:{manager}",
                "--cluster.listen-address=", f"--storage.path={tmp_path / 'alertmanager'}",
            )
        )  # fmt: skip
        stack.enter_context(
            program(
                tmp_path, PROMETHEUS, "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{own}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
            )
        )  # fmt: skip
        base = f"http://127.0.0.1:{own}"
        eventually(lambda: asked(base, "data_platform_state"))
        for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
            for target in panel["targets"]:
                found = asked(base, target["expr"].replace("$job", ".*"))
                assert found or "incidents" in target["expr"], f"{panel['title']} shows nothing"

        told = _message(received, "DataPlatformCheckFailed", "firing")
        (alert,) = [one for one in told["alerts"] if one["labels"]["table"] == "shop/orders"]
        assert alert["annotations"]["summary"] == "A check of shop/orders fails."
        assert alert["labels"]["severity"] == "ticket"
        measure()
        _message(received, "DataPlatformCheckFailed", "resolved")


def _message(received: queue.Queue[dict[str, Any]], alert: str, status: str) -> dict[str, Any]:
    while True:
        message = received.get(timeout=WAIT_SECONDS)
        if message["groupLabels"]["alertname"] == alert and message["status"] == status:
            return message
