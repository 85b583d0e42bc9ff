"""The plot is an image on its own: well-formed, without outside parts, and true to what it draws."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

from data_platform.quality.anomaly.detector import judge
from data_platform.quality.anomaly.plot import HEIGHT, WIDTH
from data_platform.quality.anomaly.series import Point
from data_platform_tests.quality.anomaly.histories import answered, changed, day, weekly

SVG = "{http://www.w3.org/2000/svg}"


def _parts(svg: str, tag: str, kind: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(svg).iter(SVG + tag) if one.get("class") == kind]


def test_an_alarm_is_drawn_outside_of_the_band() -> None:
    svg = judge(weekly(150), Point(day(150), 300)).plot()
    (band,), (dot,) = _parts(svg, "rect", "band"), _parts(svg, "circle", "alarm")
    assert float(dot.get("cy", 0)) > float(band.get("y", 0)) + float(band.get("height", 0))
    fine = judge(weekly(150), Point(day(150), 1000)).plot()
    assert _parts(fine, "circle", "fine") and not _parts(fine, "circle", "alarm")


def test_nothing_is_drawn_outside_of_the_image_or_loaded_from_elsewhere() -> None:
    history = answered(changed(weekly(150), {120: 1e9, 130: 2500.0}), {120: "incident", 130: "accepted"})
    svg = judge(history, Point(day(150), 300)).plot()
    for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(re.findall(r'points="([^"]*)"', svg))):
        assert 0 <= float(pair[0]) <= WIDTH and 0 <= float(pair[1]) <= HEIGHT
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|href|url\(", svg)
    assert "prefers-color-scheme:dark" in svg
    assert len(_parts(svg, "path", "wrong")) == 1 and len(_parts(svg, "circle", "accepted")) == 1


def test_a_gap_is_not_bridged() -> None:
    whole = judge(weekly(150), Point(day(150), 300)).plot()
    gap = judge(changed(weekly(150), {120: None}), Point(day(150), 300)).plot()
    assert len(_parts(whole, "polyline", "line")) == 1 and len(_parts(gap, "polyline", "line")) == 2


def test_a_plot_without_a_band_or_a_value() -> None:
    for history, value in ((weekly(0), 5.0), (weekly(3), 5.0), (weekly(150), None), (weekly(0), None)):
        ElementTree.fromstring(judge(history, Point(day(150), value)).plot())


def test_markdown_holds_the_image_and_the_reason() -> None:
    found = judge(weekly(150), Point(day(150), 300))
    reason, image = found.markdown().split("\n\n")
    assert reason == found.reason
    data = re.fullmatch(r"!\[orders: rows until 2024-05-30\]\(data:image/svg\+xml;base64,([^)]+)\)", image)
    assert data is not None and base64.b64decode(data[1]).decode() == found.plot()
