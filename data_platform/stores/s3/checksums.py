"""SHA-256 as S3 writes it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from data_platform.stores._remote import MB


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def base64_sha256(data: bytes) -> str:
    return base64_of(hashlib.sha256(data).digest())


def digests(path: Path, part_bytes: int) -> tuple[bytes, list[bytes]]:
    """SHA-256 of the file and of each of its parts, in one reading."""
    whole, parts = hashlib.sha256(), []
    with path.open("rb") as file:
        left, part = part_bytes, hashlib.sha256()
        while chunk := file.read(min(MB, left)):
            whole.update(chunk)
            part.update(chunk)
            left -= len(chunk)
            if not left:
                parts.append(part.digest())
                left, part = part_bytes, hashlib.sha256()
        if left < part_bytes or not parts:
            parts.append(part.digest())
    return whole.digest(), parts
