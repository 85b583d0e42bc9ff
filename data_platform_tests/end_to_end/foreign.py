"""A web site of somebody else's: it serves pages, and notes what it was asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

MUTATION = """
mutation {launchPipelineExecution(executionParams: {mode: "default", selector: {
    pipelineName: "shop_changes", repositoryName: "__repository__", repositoryLocationName: "data_platform"}})
  {__typename}}
"""

ATTACK = """<!doctype html>
<img src="%(ui)s/graphql?query=%(query)s">
<script src="%(ui)s/graphql?query=%(query)s&b"></script>
<iframe src="%(ui)s/graphql?query=%(query)s&c"></iframe>
<iframe src="%(ui)s/runs"></iframe>
<script>
const json = JSON.stringify({query: %(mutation)s});
const told = [];
function form(method, action, enctype, name, value) {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.name = "answer" + document.forms.length;
  const made = document.body.appendChild(document.createElement("form"));
  Object.assign(made, {method, action, enctype, target: frame.name});
  const input = made.appendChild(document.createElement("input"));
  Object.assign(input, {name, value});
  HTMLFormElement.prototype.submit.call(made);
}
form("post", "%(ui)s/graphql", "text/plain", json.slice(0, -1) + ', "x": "', '"}');
form("post", "%(ui)s/graphql?query=%(query)s&d", "application/x-www-form-urlencoded", "a", "b");
form("get", "%(ui)s/graphql", "", "query", %(mutation)s);
const typed = new Blob([json], {type: "text/plain;application/json"});
navigator.sendBeacon("%(ui)s/graphql", typed);
const socket = new WebSocket("%(ws)s/graphql", "graphql-ws");
const answered = new Promise(done => {
  socket.onopen = () => socket.send(JSON.stringify({type: "connection_init"}));
  socket.onmessage = () => done("socket answered");
  socket.onclose = socket.onerror = () => done("socket refused");
});
const post = {method: "POST", mode: "no-cors", credentials: "include"};
Promise.allSettled([
  fetch("%(ui)s/graphql", {...post, body: json}),
  fetch("%(ui)s/graphql", {...post, body: typed}),
  fetch("%(ui)s/graphql?query=%(query)s&e", post),
  fetch("%(ui)s/graphql", {method: "POST", headers: {"Content-Type": "application/json"}, body: json})
    .then(() => told.push("cors allowed")),
  fetch("%(ui)s/server_info").then(() => told.push("read")),
  answered.then(what => told.push(what)),
]).then(() => { document.title = "done: " + told.join(", "); });
</script>
"""


class Site:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_address[1]
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []
        self.posted: list[str] = []

    def attack(self, ui: str) -> str:
        """The path of a page that tries every way to start a run at ``ui``."""
        one_line = " ".join(MUTATION.split())
        self.pages["/attack"] = ATTACK % {
            "ui": ui,
            "ws": ui.replace("http", "ws", 1),
            "query": quote(one_line),
            "mutation": json.dumps(one_line),
        }
        return "/attack"


@contextmanager
def foreign_site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            body = site.pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            site.posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Site(server)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
