"""The status page: one HTML file that needs nothing else. Pure: health in, text out.

First the answer: how much can be believed, and what cannot, since when and why. Then the figures, each with its trust, then
domains and owners, every table, incidents and backups. Nothing is fetched: styles, script and charts are in the file, and its
own policy lets the browser load nothing else. It shows names, counts, sums and our own sentences, never a row.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from data_platform.observability.parts import SYMBOLS, aspects, badge, icon, link, meter, since, text, time
from data_platform.observability.things import newest, things
from data_platform.observability.trust import Figure, Finding, Group, Health, State
from data_platform.observability.words import capital, named, number, reason, rest, sentence, verdict

HERE = Path(__file__).parent
FINDINGS_SHOWN = 6
DAYS_DRAWN = 92


def render(health: Health, ui_url: str, stale_after: timedelta) -> str:
    """The page. ``ui_url`` is where its links lead; it says of itself that it is old after ``stale_after``."""
    charts, script, style = _file("charts/charts.js"), _file("page.js"), _file("page.css")
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {_hash(charts)} {_hash(script)}; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    return "".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{text(policy)}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n',
            f"<title>{text(verdict(health))}</title>\n",
            f'<link rel="icon" href="{_favicon(health.state)}">\n<style>{style}</style>\n</head>\n<body>\n',
            SYMBOLS,
            _top(health),
            "<main>\n",
            _answer(health),
            _figures(health, ui_url),
            _groups(health),
            things(health, ui_url),
            _incidents(health, ui_url),
            _backups(health),
            "</main>\n",
            _foot(),
            f'<script type="application/json" id="data">{_data(health, stale_after)}</script>\n',
            f"<script>{charts}</script>\n<script>{script}</script>\n</body>\n</html>\n",
        )
    )


def _top(health: Health) -> str:
    return (
        '<header class="top"><span class="place">Data platform <span class="soft">·'
        f' {text(health.environment)}</span></span><span class="soft">As of {time(health.at)},'
        f' <span data-ago="{health.at.isoformat()}"></span></span></header>\n'
    )


def _answer(health: Health) -> str:
    findings = health.findings
    old = '<p class="old" id="old" role="status" hidden>This page is old: what it says may not be true any more.</p>'
    notes = "".join(
        f'<li>{icon("unknown")}<span class="what">Not everything could be looked at</span><span class="when"></span>'
        f'<span class="why">{text(note)}</span></li>'
        for note in health.notes
    )
    first = "".join(_finding(one) for one in findings[:FINDINGS_SHOWN])
    more = "".join(_finding(one) for one in findings[FINDINGS_SHOWN:])
    shown = f'<ul class="findings">{notes}{first}</ul>' if notes or first else ""
    if more:
        shown += (
            f'<details class="more"><summary>Show {len(findings) - FINDINGS_SHOWN} more</summary>'
            f'<ul class="findings">{more}</ul></details>'
        )
    under = f'<p class="rest">{text(rest(health))}</p>' if rest(health) else ""
    return (
        f'{old}<section class="answer"><h1>{text(verdict(health))}</h1>{under}{meter(health.counts, legend=True)}{shown}'
        "</section>\n"
    )


def _finding(one: Finding) -> str:
    figures = f" Affects {text(named(one.figures))}." if one.figures else ""
    return (
        f'<li>{icon(one.state)}<span class="what">{text(named(one.labels))}</span><span class="when">{since(one.since)}</span>'
        f'<span class="why">{text(sentence(one))}{figures}</span></li>'
    )


def _figures(health: Health, ui_url: str) -> str:
    if not health.figures:
        return ""
    cards = "".join(_figure(number_, one, health.at, ui_url) for number_, one in enumerate(health.figures))
    return f'<section aria-labelledby="figures"><h2 id="figures">Figures</h2><div class="cards">{cards}</div></section>\n'


def _figure(position: int, figure: Figure, now: datetime, ui_url: str) -> str:
    series, worst = figure.series, figure.trust.worst
    unit = f' <span class="unit">{text(series.unit)}</span>' if series.unit else ""
    body = f'<p class="says">{text(series.description)}</p>' if series.description else ""
    whole = [point for point in series.points if point[0] < now.date()] or list(series.points)
    if whole:
        day, value = whole[-1]
        before = [past for _, past in whole[-8:-1]]
        change = _change(value, before)
        body += (
            f'<p class="value">{text(number(value))}{unit}</p><p class="small soft">on {text(f"{day.day} {day:%b %Y}")}'
            f"{text(change)}</p>"
            f'<div class="chart" data-figure="{position}" role="img" aria-label="{text(_heard(figure))}"></div>'
        )
    else:
        body += f'<p class="value soft">–</p><p class="small soft">{text(series.error or "There is no day yet")}</p>'
    why = ""
    if worst.state != "ok":
        why = f'<p class="why {worst.state}">{text(capital(reason(worst, figure.of)))}{_since_when(worst.since)}</p>'
    rows = "".join(
        f'<tr><td>{day.isoformat()}</td><td class="n">{text(number(value))}</td></tr>'
        for day, value in reversed(series.points[-DAYS_DRAWN:])
    )
    table = (
        f'<details class="table"><summary>As a table</summary><div class="scroll" tabindex="0" role="region"'
        f' aria-label="{text(series.name)} by day"><table class="plain"><thead><tr><th scope="col">Day</th>'
        f'<th scope="col" class="n">{text(series.name)}</th></tr></thead><tbody>{rows}</tbody></table></div></details>'
    )
    source = (
        link(ui_url + figure.link, series.relation)
        if figure.link
        else f"<span>{text(series.relation)}</span>"
    )
    return (
        f'<article class="card"><div class="head"><h3>{text(series.name)}</h3>{badge(worst.state)}</div>{body}{why}'
        f'{aspects(figure.trust, figure.of)}<div class="foot">{source}{table if rows else ""}</div></article>'
    )


def _change(value: float, before: Sequence[float]) -> str:
    """How the newest whole day compares with the week before it."""
    usual = sum(before) / len(before) if before else 0.0
    if len(before) < 7 or usual <= 0:
        return ""
    share = value / usual - 1
    return f", {abs(share):.0%} {'above' if share >= 0 else 'below'} the week before"


def _heard(figure: Figure) -> str:
    points = figure.series.points[-DAYS_DRAWN:]
    low, high = min(value for _, value in points), max(value for _, value in points)
    return (
        f"{figure.series.name} from {points[0][0]} to {points[-1][0]}, between {number(low)} and {number(high)}"
        f" {figure.series.unit}".rstrip()
        + ". The table below has every value."
    )


def _since_when(at: datetime | None) -> str:
    return f", since {time(at)}" if at else ""


def _groups(health: Health) -> str:
    if not health.domains:
        return ""
    return (
        '<section aria-labelledby="groups"><h2 id="groups">Domains and owners</h2><div class="groups">'
        f"{_group_list('Domains', health.domains)}{_group_list('Owners', health.owners)}</div></section>\n"
    )


def _group_list(title: str, groups: Sequence[Group]) -> str:
    lines = []
    for one in groups:
        worst = one.worst
        why = ""
        if worst.state != "ok":
            why = f'<p class="why {worst.state}">{text(capital(reason(worst)))}</p>'
        lines.append(
            f'<li><div class="line"><span class="label">{text(one.name)}</span><span class="soft small">{one.counts["ok"]} of'
            f" {one.total}</span></div>{meter(one.counts)}{why}</li>"
        )
    return f'<div class="card"><h3>{title}</h3><ul>{"".join(lines)}</ul></div>'


def _incidents(health: Health, ui_url: str) -> str:
    if health.incidents is None:
        return ""
    lines = "".join(
        f'<li><span class="{"bad" if one.severity == "error" else "warn"}">'
        f"{icon('bad' if one.severity == 'error' else 'warn')} {link(ui_url + one.link, one.title) if one.link else text(one.title)}"
        f'</span><span class="soft small">{text(one.state)}{f", {text(one.owner)}" if one.owner else ""}, since {time(one.since)}'
        "</span></li>"
        for one in health.incidents
    )
    body = (
        f'<ul class="list">{lines}</ul>' if lines else f'<p class="ok">{icon("ok")} No incident is open.</p>'
    )
    return f'<section aria-labelledby="incidents"><h2 id="incidents">Open incidents</h2>{body}</section>\n'


def _backups(health: Health) -> str:
    backups = health.backups
    if backups.absent:
        state: State = "none" if backups.elsewhere else "warn"
        body = f'<p class="{state}">{icon(state)} {text(capital(backups.absent))}.</p>'
    else:
        lines = []
        for copy in backups.copies:
            late = copy.made_at is None or health.at - copy.made_at > backups.max_age
            mark: State = "bad" if late else "warn" if copy.problem else "ok"
            what = f"made {time(copy.made_at)}, every byte read back" if copy.made_at else "no good backup"
            why = f". {text(capital(copy.problem))}" if copy.problem else ""
            lines.append(
                f'<li><span>{icon(mark)} {text(copy.name)}</span><span class="soft small">{what}{why}</span></li>'
            )
        drill = backups.drill
        if drill is not None and drill.at is not None:
            mark = "ok" if drill.state == "passed" else "bad"
            said = "the newest backup was restored and found equal" if drill.state == "passed" else drill.text
            lines.append(
                f'<li><span>{icon(mark)} restore drill</span><span class="soft small">{text(said)}, {time(drill.at)}</span></li>'
            )
        body = f'<ul class="list">{"".join(lines)}</ul>'
    return f'<section aria-labelledby="backups"><h2 id="backups">Backups</h2>{body}</section>\n'


def _foot() -> str:
    notice, licences = _file("charts/NOTICE"), _file("charts/LICENSE")
    return (
        "<footer><p>Fresh: the source was read in time, and a model holds the newest load of all it is made from. Checked: every"
        " check passed on the rows of now. Complete: every day has the source's rows and versions. Backed up: a copy was made and"
        " every byte of it read back. A figure is believed as little as the worst of what it is made from.</p>"
        f"<details><summary>Licences</summary><pre>{text(notice)}\n{text(licences)}</pre></details></footer>\n"
    )


def _data(health: Health, stale_after: timedelta) -> str:
    """What the script draws. ``<`` is written so that no text can end the block."""
    document: dict[str, Any] = {
        "at": health.at.isoformat(),
        "staleSeconds": stale_after.total_seconds(),
        "figures": [
            {
                "unit": one.series.unit,
                "state": one.trust.state,
                "since": one.trust.worst.since.date().isoformat() if one.trust.worst.since else None,
                "points": [
                    [day.isoformat(), round(value, 2)] for day, value in one.series.points[-DAYS_DRAWN:]
                ],
            }
            for one in health.figures
        ],
        "history": [
            [
                [
                    f"{point.at:%Y-%m-%d %H:%M}",
                    point.rows,
                    None if point.seconds is None else round(point.seconds, 2),
                ]
                for point in newest(one.thing.history, len(health.judged))
            ]
            for one in health.judged
        ],
        "tracked": [
            [
                {
                    "unit": series.unit,
                    "points": [
                        [point.at, None if point.value is None else round(point.value, 4), int(point.alarm)]
                        for point in series.points
                    ],
                }
                for series in one.thing.tracked
            ]
            for one in health.judged
        ],
    }
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _favicon(state: State) -> str:
    tone = {"ok": "1a7446", "warn": "c98500", "bad": "bb2316"}.get(state, "5a4fa3")
    return (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7'"
        f" fill='%23{tone}'/%3E%3C/svg%3E"
    )
