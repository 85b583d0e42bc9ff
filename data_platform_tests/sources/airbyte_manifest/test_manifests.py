"""A manifest run by Airbyte's own program, over a server of the test's."""

from __future__ import annotations

from datetime import date

import pytest
import yaml

from data_platform.sources import kinds
from data_platform_tests.sources.airbyte_manifest.conftest import AIRBYTE, MANIFEST, Items, Project
from data_platform_tests.sources.http.server import serving
from data_platform_tests.sources.rest.test_discover import PRIVACY

pytestmark = pytest.mark.slow
TABLES = {
    "items": {"key": "id"},
    "numbered": {"strategy": "replace"},
    "by_cursor": {"key": "id"},
    "subs": {"key": "sub"},
}


def test_streams_land_by_every_paginator_and_what_changed_comes_next(airbyte: Project) -> None:
    items = Items({n: f"2026-01-{n:02d}" for n in range(1, 6)})
    with serving(items.answer) as server:
        config = {"url": server.url, "api_key_env": "SHOP_TOKEN"}
        airbyte.write(TABLES, config=config).good()
        for table in ("items", "numbered", "by_cursor"):
            assert airbyte.rows(f"SELECT id FROM raw_shop.{table} ORDER BY id") == [(n,) for n in range(1, 6)]
        assert airbyte.rows("SELECT count(DISTINCT sub) FROM raw_shop.subs") == [(10,)]
        assert airbyte.rows(
            "SELECT DISTINCT updated::VARCHAR, price, long FROM raw_shop.items WHERE id = 5"
        ) == [("2026-01-05", 1.1, 12345678901234567890)]
        position = airbyte.batches()[-1].position_after
        assert position.text == "up to 2026-01-05"
        assert position.value["state"]["airbyte"] == {"updated": "2026-01-05"}
        airbyte.write({"items": {"key": "id"}}, config=config)
        items.days |= {6: "2026-01-05", 2: "2026-01-07"}
        assert airbyte.good()["items"].rows == 2, "what came last comes again, and is no news"
    assert airbyte.rows("SELECT count(*), max(updated)::VARCHAR FROM raw_shop.items") == [(6, "2026-01-07")]
    landed = b"".join(file.read_bytes() for file in (airbyte.root / "landing").rglob("*") if file.is_file())
    assert b"s3cr3t" not in landed


def test_an_error_of_the_api_is_told_without_the_config(airbyte: Project) -> None:
    with serving(Items({1: "2026-01-01"}).answer) as server:
        airbyte.write({"items": {"key": "id"}}, config={"url": server.url, "api_key_env": "HOME"})
        message = airbyte.failure()
    assert "shop/items: stream items: Airbyte's program says:" in message and "401" in message
    assert server.url not in message


def test_a_config_that_the_manifest_does_not_take_says_which_key(airbyte: Project) -> None:
    airbyte.write({"items": {"key": "id"}}, config={"url": "http://127.0.0.1:9"})
    (mistake,) = airbyte.mistakes()
    assert "'api_key' is a required property" in mistake


def test_a_first_draft_has_the_streams_with_their_keys(airbyte: Project) -> None:
    given = {
        "manifest": str(MANIFEST),
        "environment": str(AIRBYTE),
        "config": "{url: u, api_key_env: SHOP_TOKEN}",
    }
    text = kinds.discover(
        "airbyte_manifest",
        given,
        source="shop",
        environ={"SHOP_TOKEN": "s3cr3t-token"},
        today=date(2026, 1, 2),
        privacy=PRIVACY,
    )
    assert yaml.safe_load(text)["tables"] == {
        "items": {"key": "id"},
        "numbered": {"key": "id"},
        "by_cursor": {"key": "id"},
        "subs": {"key": "sub"},
    }
    assert "s3cr3t" not in text
