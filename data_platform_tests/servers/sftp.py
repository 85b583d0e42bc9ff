"""An SFTP server of another make than the platform's client (asyncssh), in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

HOST = "127.0.0.1"
USER, PASSWORD = "office", "a-password-of-the-tests"


@dataclass
class SftpServer:
    """``folder`` is its root. ``host_key`` is its public key, ``private_key`` one that it takes; ``opened`` are the paths
    that were read."""

    folder: Path
    port: int = 0
    host_key: str = ""
    private_key: str = ""
    opened: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"sftp://{USER}@{HOST}:{self.port}/exports"


@contextmanager
def sftp_server(folder: Path) -> Iterator[SftpServer]:
    server = SftpServer(folder)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(awaited: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaited, loop).result(30)

    acceptor = wait(_listen(server))
    try:
        yield server
    finally:
        acceptor.close()
        wait(acceptor.wait_closed())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _listen(server: SftpServer) -> Any:
    key = asyncssh.generate_private_key("ssh-ed25519")
    theirs = asyncssh.generate_private_key("ssh-ed25519")
    server.host_key = key.export_public_key().decode().strip()
    server.private_key = theirs.export_private_key().decode()
    public = asyncssh.import_authorized_keys(theirs.export_public_key().decode())

    class Login(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(server.folder).encode())

        def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            server.opened.append(path.decode())
            return super().open(path, pflags, attrs)

    acceptor = await asyncssh.listen(
        HOST, 0, server_factory=Login, server_host_keys=[key], authorized_client_keys=public, sftp_factory=Files
    )  # fmt: skip
    server.port = acceptor.get_port()
    return acceptor
