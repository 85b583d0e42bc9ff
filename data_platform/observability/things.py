"""The list of every table and model on the status page, by domain; each opens to its reasons and its history. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from data_platform.observability.parts import chevron, icon, link, name, since, text
from data_platform.observability.trust import ASPECTS, Health, Judged, Point, Tracked
from data_platform.observability.words import ASPECT, STATE, capital, number, reason
from data_platform.words import plural

POINTS_LISTED = 12
POINTS_MIN = 5
POINTS_IN_ALL = 6_000
"""What all histories of the page have together, so that many tables make it no slow one."""


def newest(history: Sequence[Point], tables: int) -> Sequence[Point]:
    """The points of a history that a page of so many ``tables`` shows."""
    return history[-max(POINTS_MIN, POINTS_IN_ALL // tables) :]


def things(health: Health, ui_url: str) -> str:
    if not health.judged:
        return ""
    head = "".join(f'<span class="mark">{ASPECT[kind]}</span>' for kind in ASPECTS)
    parts: dict[str, list[str]] = {}
    for position, one in enumerate(health.judged):
        parts.setdefault(one.thing.domain, []).append(_thing(position, one, ui_url, len(health.judged)))
    body = "".join(f'<h3 class="domain">{text(domain)}</h3>{"".join(rows)}' for domain, rows in parts.items())
    return (
        '<section aria-labelledby="things"><h2 id="things">Tables and models</h2><div class="things"><div class="row"'
        f' aria-hidden="true"><span>Name</span><span class="n">Rows</span><span class="marks">{head}</span><span></span></div>{body}</div></section>\n'
    )


def _thing(position: int, one: Judged, ui_url: str, tables: int) -> str:
    thing = one.thing
    marks = "".join(
        f'<span class="mark {aspect.state}">{icon(aspect.state)}<span class="hidden">{ASPECT[kind]}<span class="said">:'
        f" {STATE[aspect.state]}</span></span></span>"
        for kind, aspect in zip(ASPECTS, one.trust.aspects, strict=True)
    )
    rows = f'<span class="n">{"view" if thing.kind == "view" else "–"}</span>'
    if thing.rows is not None:
        rows = f'<span class="n" data-rows>{thing.rows:,}</span>'
    reasons = "".join(
        f'<dt>{ASPECT[kind]}</dt><dd class="{aspect.state}">{text(reason(aspect, thing.label))}'
        f"{_when(aspect.state, since(aspect.since))}</dd>"
        for kind, aspect in zip(ASPECTS, one.trust.aspects, strict=True)
    )
    owner = f"<dt>Owner</dt><dd>{text(thing.owner)}</dd>" if thing.owner else ""
    asset = f"<dt>Asset</dt><dd>{link(ui_url + thing.link, thing.label)}</dd>" if thing.link else ""
    return (
        f'<details><summary class="row"><span class="name">{name(thing.label)}</span>{rows}<span class="marks">{marks}</span>'
        f'{chevron()}</summary><div class="inside"><dl>{reasons}{owner}{asset}</dl><div>{_tracked(position, thing.tracked)}'
        f"{_history(position, newest(thing.history, tables))}</div></div>"
        "</details>"
    )


def _when(state: str, words: str) -> str:
    if not words:
        return ""
    return f', <span class="soft">{words.replace("since ", "", 1) if state == "ok" else words}</span>'


def _tracked(position: int, tracked: Sequence[Tracked]) -> str:
    """A small chart of each figure that is judged. What an alarm says is there as text too."""
    charts = ""
    for number_, one in enumerate(tracked):
        times = sum(point.alarm for point in one.points)
        marked = plural(times, "alarm") if times else "no alarm"
        each = "load" if any(":" in point.at for point in one.points) else "day"
        title = f"{capital(one.name)}, each {each}{f', {one.unit}' if one.unit else ''}"
        heard = f"{title}: {plural(len(one.points), 'value')}, {marked}."
        charts += (
            f'<h4>{text(title)}</h4><div class="chart" data-thing="{position}" data-tracked="{number_}" role="img"'
            f' aria-label="{text(heard)}"></div>'
        )
        if one.alarm:
            charts += f'<p class="why warn">{icon("warn")} {text(one.alarm)}</p>'
    return charts


def _history(position: int, points: Sequence[Point]) -> str:
    if not points:
        return ""
    charts = ""
    for measure, title, known in (
        ("rows", "Rows after each load or build", [point for point in points if point.rows is not None]),
        ("seconds", "Seconds that it took", [point for point in points if point.seconds is not None]),
    ):
        if known:
            charts += (
                f'<h4>{title}</h4><div class="chart" data-thing="{position}" data-measure="{measure}" role="img"'
                f' aria-label="{title}: {len(known)} values. The table below has the newest."></div>'
            )
    rows = "".join(
        f'<tr><td>{point.at:%Y-%m-%d %H:%M}</td><td class="n">{"–" if point.rows is None else f"{point.rows:,}"}</td>'
        f'<td class="n">{"–" if point.seconds is None else number(point.seconds)}</td></tr>'
        for point in reversed(points[-POINTS_LISTED:])
    )
    return (
        f'{charts}<details class="table"><summary>As a table</summary><table class="plain"><thead><tr><th scope="col">UTC</th>'
        f'<th scope="col" class="n">Rows</th><th scope="col" class="n">Seconds</th></tr></thead><tbody>{rows}</tbody></table>'
        "</details>"
    )
