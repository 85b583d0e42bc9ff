"""Where the files of a source lie: a folder of this machine, a bucket, or a folder of an SFTP server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, PrivateAttr, model_validator

from data_platform.sources.kind import Connection
from data_platform.yaml_fields import VARIABLE

Scheme = Literal["s3", "gs", "sftp"]
_KEYS: Mapping[Scheme, tuple[str, ...]] = {
    "s3": ("region", "endpoint_url", "access_key_env", "secret_key_env", "session_token_env"),
    "gs": ("endpoint_url", "credentials_env"),
    "sftp": ("password_env", "private_key_env", "host_key"),
}
_BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
_ENDPOINT = r"^https?://[^/\s@?#]+(/[^\s?#]*)?$"


@dataclass(frozen=True)
class Address:
    """A ``location`` in its parts. ``host`` is a bucket's name or a server's; ``folder`` ends in ``/`` unless it is empty."""

    scheme: Scheme
    host: str
    folder: str
    port: int | None = None
    user: str | None = None


def address(url: str) -> Address:
    """ValueError, without the text of ``location``, where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no address: write such as s3://bucket/folder") from None
    if parts.password is not None:
        raise ValueError(
            "holds a password. Take it out, change it at the server, and name the environment variable that holds the new"
            " one under `password_env`"
        )
    if parts.query or parts.fragment or parts.scheme not in _KEYS or not parts.hostname:
        raise ValueError(
            "must be s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or sftp://USER@HOST/FOLDER, without anything behind"
        )
    folder = unquote(parts.path).strip("/")
    if any(part in ("", ".", "..") for part in folder.split("/")) and folder:
        raise ValueError("has a folder that is none: write its name as it is there, without dots")
    if parts.scheme == "sftp":
        if not parts.username:
            raise ValueError("names no user: sftp://USER@HOST/FOLDER")
        folder = folder.removeprefix("~/") if folder.startswith("~/") else "/" + folder if folder else "/"
        folder = "" if folder == "/~" else folder.rstrip("/") + "/"
        return Address("sftp", parts.hostname, folder, port or 22, unquote(parts.username))
    if parts.username or port or not re.fullmatch(_BUCKET, parts.netloc):
        raise ValueError("names no bucket: write such as s3://acme-exports/daily")
    return Address("s3" if parts.scheme == "s3" else "gs", parts.netloc, f"{folder}/" if folder else "")


class FilesConnection(Connection):
    """Exactly one of ``path``, ``path_env`` and ``location`` says where the files are."""

    path: str | None = Field(
        default=None,
        min_length=1,
        description="The folder that holds the files. A relative path starts at the project's folder.",
    )
    path_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="The environment variable that holds the folder, in place of `path`.",
    )
    location: str | None = Field(
        default=None,
        description="Where the files are if not in a folder of this machine: `s3://BUCKET/FOLDER`, `gs://BUCKET/FOLDER` or"
        " `sftp://USER@HOST:PORT/FOLDER` (`/~/FOLDER` begins at the user's home).",
    )
    settle_seconds: float = Field(
        default=5,
        ge=0,
        le=86_400,
        description="How long a file's size and time must have held still before it is read. A file that is still being"
        " written is left for a later sync. Default 5. Files in a bucket are whole as soon as they are there.",
    )
    region: str | None = Field(
        default=None, description="`s3://`: the bucket's region. Default: the one that the SDK finds."
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=_ENDPOINT,
        description="`s3://`, `gs://`: the address of the service if it is not AWS or Google.",
    )
    access_key_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="`s3://`: the environment variable that holds the access key's id. Without it the SDK's own chain finds"
        " credentials.",
    )
    secret_key_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="`s3://`: the environment variable that holds the secret key.",
    )
    session_token_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="`s3://`: the environment variable that holds the session token of temporary credentials.",
    )
    credentials_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="`gs://`: the environment variable that holds a service account's key: its JSON, or the path of the"
        " file. Without it the SDK's own chain finds credentials.",
    )
    password_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="`sftp://`: the environment variable that holds the password.",
    )
    private_key_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="`sftp://`: the environment variable that holds a private key without a passphrase: its text, or the"
        " path of the file. Without it and a password, the user's own keys and agent are tried.",
    )
    host_key: str | None = Field(
        default=None,
        description="`sftp://`: the server's public key, such as `ssh-ed25519 AAAA...`. Default: as `~/.ssh/known_hosts` has"
        " it. A server with another key is never spoken to.",
    )
    _root: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(key is not None for key in (self.path, self.path_env, self.location)) != 1:
            raise ValueError("write exactly one of `path`, `path_env` and `location`")
        scheme = address(self.location).scheme if self.location else None
        for kind, keys in _KEYS.items():
            for key in keys:
                if getattr(self, key) is not None and (scheme is None or key not in _KEYS[scheme]):
                    raise ValueError(f"`{key}` is for a `location` that begins with {kind}://")
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise ValueError("`access_key_env` and `secret_key_env` belong together; give both or neither")
        if self.session_token_env is not None and self.access_key_env is None:
            raise ValueError("`session_token_env` needs `access_key_env` and `secret_key_env`")
        if self.host_key is not None and not re.fullmatch(
            r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?", self.host_key
        ):
            raise ValueError("`host_key` is no public key: write its kind and its text, as in known_hosts")
        return self

    def under(self, root: Path) -> Self:
        copy = self.model_copy()
        copy._root = root
        return copy

    @property
    def root(self) -> Path:
        """Where a relative path starts."""
        return self._root
