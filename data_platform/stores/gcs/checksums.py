"""What an object must be, as Google Cloud Storage writes it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from data_platform.stores._remote import MB


def crc32c_of(data: bytes) -> str:
    import google_crc32c

    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


def checksums(path: Path) -> tuple[str, str]:
    """SHA-256 (hex) and CRC32C (as Google writes it) of the file, in one reading."""
    import google_crc32c

    sha256, crc32c = hashlib.sha256(), google_crc32c.Checksum()
    with path.open("rb") as file:
        while chunk := file.read(MB):
            sha256.update(chunk)
            crc32c.update(chunk)
    return sha256.hexdigest(), base64.b64encode(crc32c.digest()).decode()
