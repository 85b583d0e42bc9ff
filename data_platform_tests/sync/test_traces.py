"""The spans of a real sync, as a collector receives them over OTLP."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from data_platform.errors import ConfigurationError
from data_platform.tracing import NOTHING, traces
from data_platform_tests.sync.conftest import HASH_KEY, Project

NEEDLE = "needle-of-a-row"


class Collector:
    """Takes traces over HTTP, as any OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                collector.bodies.append(gzip.decompress(body) if packed else body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def command(project: Project, endpoint: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "SHOP_URL": project.url, "DATA_PLATFORM_HASH_KEY": HASH_KEY}
    environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    program = [sys.executable, "-m", "data_platform.cli", "sync", "--root", str(project.root)]
    return subprocess.run(program, env=environ, capture_output=True, text=True, check=False)


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def shop(project: Project) -> Project:
    project.execute(
        "create table orders (id int primary key, v text)",
        f"insert into orders select g, '{NEEDLE}' from generate_series(1, 7) g",
        "create view broken as select id, v::int as v from orders",
    )
    return project.catalog({"orders": {"key": "id"}, "broken": {"strategy": "replace", "cursor": None}})


@pytest.mark.slow
def test_a_sync_is_a_tree_of_its_tables(project: Project, collector: Collector) -> None:
    done = command(shop(project), collector.url)
    assert "orders" in done.stdout and done.returncode != 0, done.stdout + done.stderr
    spans = collector.spans()
    root, *_ = [span for span in spans if span.name == "sync" and not span.parent_span_id]
    pieces = {
        (span.name, attributes(span).get("data_platform.table", "")): span
        for span in spans
        if span.parent_span_id == root.span_id
    }
    assert {("plan", ""), ("land", "shop/orders"), ("load", "shop/orders"), ("land", "shop/broken")} <= pieces.keys()  # fmt: skip
    assert attributes(root) == {"data_platform.source": "shop", "data_platform.tables": 2}
    landed = attributes(pieces["land", "shop/orders"])
    assert landed["data_platform.rows"] == 7 and landed["data_platform.bytes"] > 0
    assert pieces["land", "shop/broken"].status.code == 2  # an error, by its class alone
    assert pieces["land", "shop/orders"].status.code == 0
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 0 for span in spans)
    assert NEEDLE.encode() not in b"".join(collector.bodies)


@pytest.mark.slow
def test_a_collector_that_is_away_costs_no_sync(project: Project) -> None:
    project.execute("create table orders (id int primary key)", "insert into orders values (1)")
    project.catalog({"orders": {"key": "id"}})
    assert command(project, "http://127.0.0.1:9").returncode == 0
    assert project.rows("select count(*) from raw_shop.orders") == [(1,)]


@pytest.mark.parametrize("environ", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}])  # fmt: skip
def test_without_a_collector_nothing_is_traced(environ: dict[str, str]) -> None:
    assert traces(environ) is NOTHING
    with NOTHING.piece("sync", source="shop") as piece:
        assert piece is NOTHING


def test_another_protocol_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="http/protobuf"):
        traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_a_client_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match=r"data-platform\[otel\]"):
        traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SERVICE_NAME": "missing"})
