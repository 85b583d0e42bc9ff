"""The page in a real Chromium: light and dark, wide and on a phone. Every chart is drawn, nothing is asked for outside, every
text can be read, and names that attack do nothing.

With DATA_PLATFORM_SCREENSHOTS set to a folder, the picture of docs/ is taken on the way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.observability.page import render
from data_platform.observability.trust import Health, Incident

from .company import NOW, before, failed, health, judged_rows, table
from .test_page import hostile

pytest.importorskip("playwright.sync_api")
BROWSER = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: `apt-get install chromium`"),
]
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking")
VIEWS = [
    pytest.param(scheme, width, id=f"{scheme}-{width}")
    for scheme in ("light", "dark")
    for width in (1280, 360)
]
CONTRAST = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, under) => top.slice(0, 3).map((v, n) => v * top[3] / 255 + under[n] * (1 - top[3] / 255));
  const light = (color) => {
    const [r, g, b] = color.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.unshift(rgb(getComputedStyle(one).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, style, .hidden")) continue;
    const svg = element.closest(".chart svg");
    const fore = rgb(svg ? element.getAttribute("fill") || getComputedStyle(element).fill : getComputedStyle(element).color);
    const back = ground(element);
    const [a, b] = [light(over(fore, back)), light(back)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), walker.currentNode.data.trim().slice(0, 40), element.tagName]);
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield browser
        browser.close()


class Opened:
    """The page in a window: what it asked for and complained of, and the page."""

    def __init__(self, chromium: Any, file: Path, scheme: str, width: int, now: Any = NOW) -> None:
        self.page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.clock.set_fixed_time(now)
        self.page.goto(file.as_uri())
        self.page.wait_for_selector(".cards .chart svg path", state="attached")
        self.page.wait_for_timeout(400)  # lines grow into place

    def lines(self, chart: Any) -> int:
        """The marks of a chart that have a length: lines and bars."""
        return int(
            chart.evaluate(
                "one => [...one.querySelectorAll('svg path')].filter(p => p.getTotalLength() > 20).length"
            )
        )


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    pages: list[Opened] = []

    def open_(found: Health, scheme: str = "light", width: int = 1280, **rest: Any) -> Opened:
        file = tmp_path / "index.html"
        file.write_text(render(found, "http://127.0.0.1:9", timedelta(hours=3)))
        pages.append(Opened(chromium, file, scheme, width, **rest))
        return pages[-1]

    yield open_
    for one in pages:
        one.page.close()


def trouble() -> Health:
    bad = failed("revenue_gte_0", before(minutes=50), before(days=10), "12 of 1,000 rows fail")
    return health(
        table("orders", checks=(bad,), tracked=(judged_rows(),)),
        incidents=[Incident("shop/orders: revenue_gte_0", "open", "error", before(days=10))],
    )


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_every_chart_is_drawn_every_text_can_be_read_and_nothing_is_asked_for(
    opened: Callable[..., Opened], scheme: str, width: int
) -> None:
    one = opened(trouble(), scheme, width)
    charts = one.page.locator(".cards .chart")
    assert charts.count() == 3
    for number in range(3):
        assert one.lines(charts.nth(number)) >= 4
    if (scheme, width) == ("light", 1280) and (folder := os.environ.get("DATA_PLATFORM_SCREENSHOTS")):
        one.page.set_viewport_size({"width": 1280, "height": 1130})
        one.page.wait_for_timeout(500)
        one.page.screenshot(path=str(Path(folder) / "status-page.png"))
    first = one.page.locator(".things details").first
    first.locator("summary.row").click()
    one.page.wait_for_selector(".things .chart svg path", state="attached")
    assert all(one.lines(first.locator(".chart").nth(number)) >= 4 for number in range(3))
    dots = "chart => [...chart.querySelectorAll('svg path')].filter(p => p.getAttribute('fill') === COLOR).length"
    bad = one.page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--bad').trim()")
    marked = first.locator(".chart[data-tracked]")
    assert marked.evaluate(dots.replace("COLOR", f"'{bad}'")) == 1, "the alarm is a dot, and nothing else is"
    assert one.complaints == []
    assert len(one.asked) == 1, one.asked
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width, (
        "nothing is wider than the window"
    )
    one.page.locator(".cards details summary").first.click()
    found = one.page.evaluate(CONTRAST)
    assert len(found) > 80
    assert [row for row in found if row[0] < 4.5] == []


def test_since_when_a_figure_is_not_believed_its_line_is_dashed(opened: Callable[..., Opened]) -> None:
    dashed = "document.querySelectorAll('.cards .chart svg path[stroke-dasharray]').length"
    assert opened(health()).page.evaluate(dashed) == 0
    assert opened(trouble()).page.evaluate(dashed) >= 1


def test_a_change_of_scheme_changes_the_charts(opened: Callable[..., Opened]) -> None:
    one = opened(health())
    tones = (
        "[...document.querySelectorAll('.cards .chart svg path')].map(p => p.getAttribute('stroke')).join()"
    )
    before_ = one.page.evaluate(tones)
    one.page.emulate_media(color_scheme="dark")
    one.page.wait_for_function(f"(known) => {tones} !== known", arg=before_)


def test_a_page_says_of_itself_that_it_is_old(opened: Callable[..., Opened]) -> None:
    assert not opened(health()).page.locator("#old").is_visible()
    old = opened(health(), now=NOW + timedelta(hours=3, minutes=1)).page
    assert old.locator("#old").is_visible()
    assert "3 hours ago" in old.locator("header").inner_text()


def test_names_that_attack_do_nothing(opened: Callable[..., Opened]) -> None:
    one = opened(hostile())
    one.page.locator(".things details").first.locator("summary.row").click()
    one.page.locator(".cards .chart").first.hover()
    assert one.complaints == []
    assert len(one.asked) == 1
    assert "owned" not in one.page.title().partition(" tables")[0]
    assert one.page.evaluate("document.images.length") == 0


def test_it_is_read_without_script(chromium: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(render(trouble(), "http://127.0.0.1:9", timedelta(hours=3)))
    page = chromium.new_page(java_script_enabled=False)
    page.goto(file.as_uri())
    assert "2 of 5 tables and models can be believed." in page.locator("h1").inner_text()
    assert page.get_by_text("12 of 1,000 rows fail").first.is_visible()
    assert page.locator("table.plain").count() >= 3
    page.close()
