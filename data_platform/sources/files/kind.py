"""The kind ``files``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.files.config import CAN, FilesTableKeys
from data_platform.sources.files.connection import FilesConnection
from data_platform.sources.kind import Kind

KIND = Kind(
    "files",
    "files",
    FilesConnection,
    CAN,
    reading="data_platform.sources.files.reading:open_reading",
    looking="data_platform.sources.files.looking:open_looking",
    discover="data_platform.sources.files.discover:discover",
    table_keys=FilesTableKeys,
    rewrite="data_platform.sources.files.rewrite:rewrite",
)
