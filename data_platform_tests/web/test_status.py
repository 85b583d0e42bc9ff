"""The status page behind the guard, asked over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from data_platform.catalog.settings import status_page_of
from data_platform.web.guard import Guard
from data_platform.web.status import POLICY, StatusPage


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    async def ui(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"the UI at {scope['path']}".encode()})

    app = Guard(StatusPage(ui, tmp_path / "index.html", prefix="/ui"), prefix="/ui")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/ui"
    server.should_exit = True
    thread.join(10)


def test_the_page_is_served_as_it_lies_in_its_file(address: str, tmp_path: Path) -> None:
    missing = requests.get(f"{address}/status", timeout=10)
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "health --page" in missing.text
    (tmp_path / "index.html").write_text("<p>grün</p>")
    for path in ("/status", "/status/"):
        found = requests.get(address + path, timeout=10)
        assert (found.status_code, found.content) == (200, "<p>grün</p>".encode())
        assert found.headers["content-security-policy"].encode() == POLICY
        assert found.headers["x-frame-options"] == "DENY"
    assert requests.head(f"{address}/status", timeout=10).headers["content-length"] == "12"


def test_everything_else_is_the_ui_s(address: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    for path in ("/", "/assets/status", "/status/more", "/statuses"):
        assert requests.get(address + path, timeout=10).text == f"the UI at /ui{path}"


def test_a_page_of_somebody_else_s_gets_nothing(address: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    for headers in ({"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}):
        assert requests.get(f"{address}/status", headers=headers, timeout=10).status_code in (403, 421)


def test_where_it_lies_is_read_even_from_a_catalog_with_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "catalog" / "platform.yaml"
    file.parent.mkdir()
    for text, path in (
        ("environments: {local: {landing: 3, status_page: {path: a/b.html}}}", tmp_path / "a/b.html"),
        ("environments: {local: {status_page: {}}}", tmp_path / ".data/status/index.html"),
        ("environments: {local: {}}", None),
        ("environments: {local: {status_page: {path: null}}}", None),
        ("environments: {local: {status_page: {path: 3}}}", None),
        ("environments: [", None),
    ):
        file.write_text(text)
        assert status_page_of(tmp_path, "local") == path, text
