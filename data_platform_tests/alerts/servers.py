"""Servers on loopback that take alerts and answer as they are told: any webhook, Slack's API and PagerDuty's."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T0SECRET/B0SECRET/abcdefSECRET"


@dataclass
class Answer:
    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None


@dataclass
class Receiver:
    """``answers`` are given in order, then ``usual``'s; ``received`` are the bodies that came in and were not refused by an
    answer of the list, ``raw`` their bytes, ``headers`` what came with each, ``tokens`` their ``Authorization``."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    usual: Callable[[dict[str, Any]], Answer] = field(default=lambda _: Answer())
    asked: int = 0

    @property
    def tokens(self) -> list[str | None]:
        return [headers.get("authorization") for headers in self.headers]


@contextlib.contextmanager
def receiver(usual: Callable[[dict[str, Any]], Answer] = lambda _: Answer()) -> Iterator[Receiver]:
    state = Receiver(usual=usual)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            self.answer(state.answers.pop(0) if state.answers else Answer())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            document = json.loads(body)
            answer = state.answers.pop(0) if state.answers else state.usual(document)
            if answer.hold is not None:
                answer.hold.wait(30)
            state.received.append(document)
            state.raw.append(body)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.answer(answer)

        def answer(self, answer: Answer) -> None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the caller gave up
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body.encode())

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/services/{SECRET}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Slack:
    """Answers as ``chat.postMessage`` does, and refuses what Slack's limits refuse. ``threads`` holds the texts of each
    thread, by the time stamp of its first message."""

    threads: dict[str, list[str]] = field(default_factory=dict)

    def __call__(self, message: dict[str, Any]) -> Answer:
        if (wrong := slack_refuses(message)) is not None:
            return self.told(ok=False, error=wrong)
        stamp = f"1700000000.{len(self.threads):06d}{sum(map(len, self.threads.values())):06d}"
        thread = message.get("thread_ts", stamp)
        if "thread_ts" in message and thread not in self.threads:
            return self.told(ok=False, error="thread_not_found")
        self.threads.setdefault(thread, []).append(message["text"])
        return self.told(ok=True, ts=stamp, channel=message["channel"])

    def told(self, **fields: Any) -> Answer:
        return Answer(200, json.dumps(fields), {"Content-Type": "application/json"})


def slack_refuses(message: dict[str, Any]) -> str | None:
    """Slack's word for what is too much of a message; None if it takes it."""
    blocks = message.get("blocks", [])
    if len(message["text"]) > 40_000:
        return "msg_too_long"
    if len(blocks) > 49:
        return "invalid_blocks"
    for block in blocks:
        texts = [block.get("text", {}).get("text", "")]
        fields = [one["text"] for one in block.get("fields", [])]
        elements = [one["text"] for one in block.get("elements", [])]
        if len(texts[0]) > 3000 or len(fields) > 10 or len(elements) > 10:
            return "invalid_blocks"
        if any(len(text) > 2000 or not text for text in [*fields, *elements]):
            return "invalid_blocks"
    return None


@dataclass
class PagerDuty:
    """Answers as the Events API v2 does. ``alerts`` holds the state of each, by its ``dedup_key``."""

    alerts: dict[str, str] = field(default_factory=dict)
    key: str = "R0UTINGKEYSECRET"

    def __call__(self, event: dict[str, Any]) -> Answer:
        key, action = event.get("dedup_key", ""), event.get("event_action")
        if event.get("routing_key") != self.key:
            return Answer(400, json.dumps({"status": "invalid event", "errors": ["Invalid routing key"]}))
        if action == "trigger":
            payload = event["payload"]
            wrong = (
                not payload["summary"]
                or len(payload["summary"]) > 1024
                or payload["severity"] not in ("critical", "error", "warning", "info")
                or not payload["source"]
                or len(json.dumps(event)) > 512_000
                or len(key) > 255
            )
            if wrong:
                return Answer(400, json.dumps({"status": "invalid event", "errors": ["payload"]}))
            self.alerts[key] = "triggered"
        elif action in ("acknowledge", "resolve"):
            if self.alerts.get(key) in ("triggered", "acknowledged"):
                self.alerts[key] = f"{action}d"
        else:
            return Answer(400, json.dumps({"status": "invalid event", "errors": ["event_action"]}))
        return Answer(202, json.dumps({"status": "success", "dedup_key": key}))
