"""The page as text: it holds everything it needs, refers to nothing outside, and no text in it is more than text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from data_platform.observability import page
from data_platform.observability.page import render
from data_platform.observability.trust import (
    Backups,
    Copy,
    Health,
    Incident,
    Series,
    Tracked,
    TrackedPoint,
)

from .company import backed_up, before, failed, health, judged_rows, model, passed, series, table

UI = "http://127.0.0.1:3000"
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&\u202e\x1b[2J"


def rendered(found: Health) -> str:
    return render(found, UI, timedelta(hours=3))


class Elements(HTMLParser):
    """Every element with its attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] == "script":
            self.scripts.append(data)
        elif not self.inside or self.inside[-1] != "style":
            self.words.append(data)


def _hostile_figure() -> Tracked:
    return Tracked(
        HOSTILE, (TrackedPoint(HOSTILE, 1.0, True), TrackedPoint(HOSTILE, None, False)), HOSTILE, HOSTILE
    )


def hostile() -> Health:
    bad = failed(HOSTILE, before(minutes=40), before(days=1), HOSTILE)
    things = (
        replace(
            table("orders", domain=HOSTILE, owner=HOSTILE, checks=(bad,), tracked=(_hostile_figure(),)),
            label=HOSTILE,
            link=f"/assets/{HOSTILE}",
        ),
        model("marts.daily_revenue", HOSTILE),
    )
    first = replace(series()[0], name=HOSTILE, unit=HOSTILE[:12], description=HOSTILE)
    return health(
        *things,
        backups=backed_up(copies=(Copy(HOSTILE, None, HOSTILE),)),
        figures=[first, Series(HOSTILE, HOSTILE, error=HOSTILE)],
        incidents=[Incident(HOSTILE, HOSTILE, "error", before(hours=1), HOSTILE, HOSTILE)],
        notes=[HOSTILE],
    )


def test_a_figure_that_is_judged_is_drawn_and_its_alarm_said() -> None:
    found = health(table("orders", tracked=(judged_rows(),)))
    text = rendered(found)
    assert 'aria-label="Rows, each day: 60 values, 1 alarm."' in text
    assert "121 is above the usual range (+130%)" in " ".join(Elements(text).words)
    position = [one.thing.label for one in found.judged].index("shop/orders")
    document = json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))  # type: ignore[union-attr]
    (drawn,) = document["tracked"][position]
    assert drawn["points"][58] == ["2026-11-27", 121.0, 1] and sum(one[2] for one in drawn["points"]) == 1
    assert [some for n, some in enumerate(document["tracked"]) if n != position] == [[]] * (
        len(found.judged) - 1
    )


def test_names_that_attack_stay_text() -> None:
    text = rendered(hostile())
    elements = Elements(text)
    assert {tag for tag, _ in elements.found} == {tag for tag, _ in Elements(rendered(health())).found} | {
        "p"
    }
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert len(elements.scripts) == 3
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "owned" in "".join(elements.words), "it is shown"


@pytest.mark.parametrize("found", [health(), hostile()], ids=["well", "hostile"])
def test_nothing_outside_is_referred_to_but_by_links(found: Health) -> None:
    for tag, attributes in Elements(rendered(found)).found:
        for name in ("src", "srcset", "data", "action", "poster", "background", "ping"):
            assert name not in attributes, (tag, name)
        target = attributes.get("href") or ""
        if tag == "a":
            assert target.startswith(UI), target
        else:
            assert target.startswith(("#", "data:")) or not target, (tag, target)
    assert "url(" not in page._file("page.css")
    assert "@import" not in page._file("page.css")


def test_the_policy_names_the_scripts_that_are_there() -> None:
    elements = Elements(rendered(health()))
    (policy,) = [
        a["content"] or "" for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")
    _, charts, script = elements.scripts
    for one in (charts, script):
        digest = base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_it_is_small_enough_and_the_same_each_time() -> None:
    text = rendered(health())
    assert len(text.encode()) < 750_000
    assert text == rendered(health())


def test_what_is_wrong_is_said_first_with_since_and_what_it_affects() -> None:
    bad = failed("revenue_gte_0", before(minutes=40), before(days=1), "3 of 9 rows fail")
    words = " ".join("".join(Elements(rendered(health(table("orders", checks=(bad,))))).words).split())
    assert "2 of 5 tables and models can be believed." in words
    assert words.index("3 cannot") < words.index(
        "revenue_gte_0 fails: 3 of 9 rows fail. Affects Revenue and Orders."
    )
    assert words.index("Affects Revenue") < words.index("Figures")
    assert "since 29 Nov 2026, 15:00 UTC" in words


def test_sections_are_there_only_if_there_is_something_to_say() -> None:
    assert "Open incidents" not in rendered(health()), "nobody keeps them"
    assert "No incident is open" in rendered(health(incidents=[]))
    assert "makes no backups" in rendered(health(backups=Backups(absent="this environment makes no backups")))
    assert "Figures</h2>" not in rendered(health(figures=[]))


def test_the_data_of_the_charts_is_that_of_the_figures() -> None:
    found = health()
    data: dict[str, Any] = json.loads(Elements(rendered(found)).scripts[0])
    assert len(data["figures"]) == 3
    last = found.figures[0].series.points[-1]
    assert data["figures"][0]["points"][-1] == [last[0].isoformat(), round(last[1], 2)]
    assert len(data["history"]) == len(found.judged)


def test_every_chart_has_a_table() -> None:
    text = rendered(health())
    for card in re.findall(r"<article.*?</article>", text, re.S):
        assert ("data-figure" in card) == ("<table" in card)
    for inside in re.findall(r'<div class="inside">.*?</details></div>', text, re.S):
        assert ("data-measure" in inside) == ("<table" in inside)


def test_the_charts_are_the_committed_build_with_its_licences() -> None:
    folder = Path(page.__file__).parent / "charts"
    lock = json.loads((folder / "package-lock.json").read_text())
    assert not any("resolved" in one for one in lock["packages"].values()), "no address of a registry"
    assert all(one.get("integrity") for name, one in lock["packages"].items() if name)
    licence = (folder / "LICENSE").read_text()
    for words in ("Apache License", "Baidu", "Microsoft", "Mike Bostock"):
        assert words in licence
    assert (folder / "charts.js").stat().st_size < 560_000


def test_a_page_without_a_check_that_passed_says_nothing_of_ok() -> None:
    found = health(table("orders", checks=(passed("x", before(days=9)),)))
    assert found.state == "unknown"


def test_a_page_of_many_tables_stays_small_enough_to_open() -> None:
    few, many = (len(rendered(health(*(table(f"t{n}") for n in range(number))))) for number in (100, 1100))
    assert (many - few) / 1000 < 3_500, "characters a table"
