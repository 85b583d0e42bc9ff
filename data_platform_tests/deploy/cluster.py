"""A stand-in for Kubernetes as Dagster's launcher sees it: takes Jobs over HTTP and runs each pod as a process.

It is strict where a cluster is: a field that does not exist, a Secret, ConfigMap or ServiceAccount that is not there,
another namespace. It has no images, no nodes and no rights.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes.client
import yaml
from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict

JOBS = re.compile(
    r"/apis/batch/v1/namespaces/(?P<namespace>[^/?]+)/jobs(?:/(?P<name>[^/?]+))?(?P<status>/status)?"
)
PODS = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/?]+)/pods")


def check(document: Mapping[str, Any]) -> Any:
    """The model of a manifest; an exception where it has a field that Kubernetes does not know, or lacks one."""
    model = getattr(kubernetes.client, f"V1{document['kind']}")
    return k8s_model_from_dict(model, k8s_snake_case_dict(model, document))


class Cluster:
    """``objects``: the manifests that were applied; ``secrets``: the content of each Secret, by its name. ``image``:
    the variables that the image sets. Pods run in ``folder``."""

    def __init__(
        self,
        objects: Sequence[Mapping[str, Any]],
        secrets: Mapping[str, Mapping[str, str]],
        image: Mapping[str, str],
        folder: Path,
    ) -> None:
        self.secrets, self.image, self.folder = secrets, image, folder
        self.maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
        self.accounts = {o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount"}
        self.namespaces = {o["metadata"]["namespace"] for o in objects if "namespace" in o["metadata"]}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, job: dict[str, Any]) -> None:
        check(job)
        name, spec = job["metadata"]["name"], job["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] in self.accounts
        (container,) = spec["containers"]
        volumes = {volume["name"]: volume["configMap"]["name"] for volume in spec.get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            Path(mount["mountPath"]).write_text(self.maps[volumes[mount["name"]]][mount["subPath"]])
        environ = dict(self.image)
        for source in container.get("envFrom", ()):
            for kind, known in (("configMapRef", self.maps), ("secretRef", self.secrets)):
                if kind in source:
                    environ |= known[source[kind]["name"]]
        environ |= {variable["name"]: variable["value"] for variable in container.get("env", ())}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.pods[name] = subprocess.Popen(
                container["args"],
                cwd=self.image["DATA_PLATFORM_HOME"],
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.jobs[name] = job

    def answer(self, name: str) -> dict[str, Any]:
        code = self.pods[name].poll()
        status = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
        return {**self.jobs[name], "apiVersion": "batch/v1", "kind": "Job", "status": status}

    def delete(self, name: str) -> None:
        self.pods[name].send_signal(signal.SIGTERM)

    def kill(self, name: str) -> None:
        """As when a node is lost, or memory runs out."""
        os.killpg(self.pods[name].pid, signal.SIGKILL)
        self.pods[name].wait(30)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]


def handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _send(self, code: int, body: Mapping[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _handle(self) -> None:
            if PODS.match(self.path):
                self._send(200, {"apiVersion": "v1", "kind": "PodList", "items": []})
                return
            asked = JOBS.match(self.path)
            if asked is None or asked["namespace"] not in cluster.namespaces:
                self._send(404, {"reason": "NotFound", "message": self.path})
            elif self.command == "POST":
                job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    cluster.start(job)
                except Exception as error:  # what a cluster would refuse, or leave pending for ever
                    self._send(422, {"reason": "Invalid", "message": f"{type(error).__name__}: {error}"})
                else:
                    self._send(201, job)
            elif asked["name"] not in cluster.jobs:
                self._send(404, {"reason": "NotFound", "message": self.path})
            else:
                if self.command == "DELETE":
                    cluster.delete(asked["name"])
                self._send(200, cluster.answer(asked["name"]))

        do_GET = do_POST = do_DELETE = _handle

        def log_message(self, format: str, *args: Any) -> None:
            return None

    return Handler


@contextmanager
def serving(cluster: Cluster) -> Iterator[Path]:
    """The cluster on a port of this machine; gives the kubeconfig that leads to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(cluster))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = cluster.folder / "kubeconfig"
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [
                    {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
                ],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            }
        )
    )
    try:
        yield config
    finally:
        server.shutdown()
        server.server_close()
        for pod in cluster.pods.values():
            if pod.poll() is None:
                os.killpg(pod.pid, signal.SIGKILL)
            pod.wait(30)
