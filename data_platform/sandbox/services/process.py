"""Starting, stopping and finding the process of a sandbox's services.

The sockets are opened here and handed on, so a port is taken before anybody is told of it, and a
client that comes before the process is ready only waits.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import SandboxError
from data_platform.local_postgres import HOST, command_line, environment
from data_platform.private_files import make_private
from data_platform.sandbox.services.registry import SERVICES, load
from data_platform.sandbox.services.service import Place, Service
from data_platform.sandbox.services.state import State

if TYPE_CHECKING:
    import psycopg

MODULE = "data_platform.sandbox.services.serve"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0


class Services:
    """The services of the sandbox in ``home``; only a handle, like ``PostgresServer``."""

    def __init__(self, home: Path, registry: Mapping[str, str] = SERVICES) -> None:
        self.home = home.absolute()
        self.registry = registry
        self.folder = self.home / "services"
        self.log_path = self.folder / "services.log"
        self._process: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The process id, None when it is not running; a number that now belongs to a stranger does not count."""
        try:
            pid = int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return None
        if self._process is not None and self._process.pid == pid:
            return pid if self._process.poll() is None else None
        command = command_line(pid)
        return pid if MODULE in command and str(self.home) in command else None

    def places(self) -> dict[str, Place]:
        """Where each service is, if it was ever started."""
        state = State.read(self.home)
        return {name: state.place(name) for name in self.registry if name in state.services}

    def launch(self) -> None:
        """Start the process unless it runs with just these services; return at once. The database may come later."""
        state = State.read(self.home)
        if self.pid() is not None and state.services.keys() == self.registry.keys():
            return
        self.stop()
        if not self.registry:
            return
        make_private(self.folder)
        listening: dict[str, socket.socket] = {}
        try:
            for name, where in self.registry.items():
                listening[name] = _listen(state.services.get(name, {}).get("port"))
                state.remember(load(where), where, int(listening[name].getsockname()[1]))
            for name in state.services.keys() - self.registry.keys():
                del state.services[name]
            state.write()
            self._spawn(listening)
        except OSError as error:
            raise SandboxError(f"The sandbox's services could not be started: {error}.") from error
        finally:
            for one in listening.values():
                one.close()

    def install(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Put into the shop's database what each service needs there."""
        for name, service in self._loaded().items():
            if service.install is not None:
                with connection.transaction():
                    service.install(self.places()[name], connection)

    def variables(self) -> dict[str, dict[str, str]]:
        """The lines of ``.env`` of each service, by the variable that holds its URL."""
        places = self.places()
        return {one.base: one.variables(places[name]) for name, one in self._loaded().items()}

    def wait(self) -> None:
        """Until every service answers. SandboxError when the process ended or takes too long."""
        import http.client

        deadline = time.monotonic() + START_SECONDS_MAX
        for place in self.places().values():
            while True:
                connection = http.client.HTTPConnection(
                    HOST, place.port, timeout=max(0.1, deadline - time.monotonic())
                )
                try:
                    connection.request("GET", "/_sandbox/faults", headers={"Sandbox-Control": "1"})
                    if connection.getresponse().status == 200:
                        break
                except (OSError, http.client.HTTPException) as error:
                    if self.pid() is None or time.monotonic() > deadline:
                        raise SandboxError(
                            f"The sandbox's services do not answer ({error}). Their log is {self.log_path}."
                        ) from error
                finally:
                    connection.close()
                time.sleep(0.02)

    def stop(self) -> bool:
        """End the process and wait; False when it was not running."""
        pid = self.pid()
        if pid is None:
            return False
        for signal_, seconds in ((signal.SIGTERM, STOP_SECONDS_MAX), (signal.SIGKILL, 5.0)):
            os.kill(pid, signal_)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if self.pid() is None:
                    (self.folder / "pid").unlink(missing_ok=True)
                    return True
                time.sleep(0.02)
        raise SandboxError(f"The sandbox's services (process {pid}) did not stop.")

    def forget(self) -> None:
        """Stop the process and remove what the services keep in files; ports and secrets stay."""
        self.stop()
        for place in self.places().values():
            shutil.rmtree(place.folder, ignore_errors=True)

    def _loaded(self) -> dict[str, Service]:
        return {name: load(where) for name, where in self.registry.items()}

    def _spawn(self, listening: Mapping[str, socket.socket]) -> None:
        numbers = {name: one.fileno() for name, one in listening.items()}
        handed = ",".join(f"{name}={number}" for name, number in numbers.items())
        paths = os.pathsep.join(path for path in sys.path if path)  # what we can import, it can
        variables = {**environment(), "PYTHONPATH": paths, "SANDBOX_SERVICES_LISTEN": handed}
        self.log_path.touch(mode=0o600)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(self.home)],
                cwd="/", env=variables, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, pass_fds=tuple(numbers.values()),
            )  # fmt: skip
        remembered = self.folder / "pid"
        remembered.touch(mode=0o600)
        remembered.write_text(f"{self._process.pid}\n")


def _listen(port: int | None) -> socket.socket:
    """A listening socket on the port of the last time, or on a free one."""
    for wanted in [port, 0] if port else [0]:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, wanted))
        except OSError:
            one.close()
            continue
        one.listen(128)
        return one
    raise OSError(f"no port on {HOST} is free")
