"""What ``doctor`` says of a property."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from data_platform.sources.ga4.feed import Ga4Feed
from data_platform.sources.reading import Opening
from data_platform_tests.contracts.api_worlds import serving_world
from data_platform_tests.sources.http.server import Reply


def test_doctor_says_whether_the_property_answers(tmp_path: Path) -> None:
    with serving_world(tmp_path, "ga4") as (world, server):
        platform = world.platform()
        opening = Opening("web", platform.catalog.source("shop").connection, platform.environ, ())
        told = []
        for answer in (server.answer, lambda _: Reply({"error": {"code": 403, "message": "no"}}, 403)):
            server.answer = answer
            with Ga4Feed(opening) as feed:
                told += feed.findings("web", datetime.now(UTC))
    assert [(one.check, one.state) for one in told] == [("web: answers", "ok"), ("web: answers", "fail")]
    assert told[0].found.endswith("it knows 6 dimensions and 1 metrics.")
    assert "role Viewer" in told[1].found
