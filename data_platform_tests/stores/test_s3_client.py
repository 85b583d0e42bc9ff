"""The SDK reads its descriptions of S3, a megabyte of JSON, once a process and not once a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_platform.stores.s3.client import _descriptions
from data_platform_tests.servers.objects import ObjectServer


def test_a_second_client_reads_no_description_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.loaders import JSONFileLoader

    _descriptions.cache_clear()
    read: list[str] = []
    real = JSONFileLoader.load_file

    def load_file(self: Any, path: str) -> Any:
        read.append(path)
        return real(self, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", load_file)
    server = ObjectServer("s3", "http://127.0.0.1:9")

    def opened() -> tuple[str, int]:
        """The region that the client is of, and how many folders descriptions are sought in."""
        client = server.opener(tmp_path, "p")()._client
        return client.meta.region_name, len(_descriptions().search_paths)

    first = opened()
    assert first[0] == "us-east-1" and read
    read.clear()
    assert [opened(), opened()] == [first, first]
    assert read == []
