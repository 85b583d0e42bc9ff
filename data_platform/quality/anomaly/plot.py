"""A small plot of a metric: its last values, the band and the tested value, as one SVG without outside parts. Pure.

The colors follow the reader's light or dark setting.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from datetime import date
from xml.sax.saxutils import escape

from data_platform.quality.anomaly.series import Point

WIDTH, HEIGHT = 640, 170
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 26
STYLE = (
    "<style>text{font:11px system-ui,sans-serif;fill:#57606a}.line{fill:none;stroke:#0969da;stroke-width:1.5}"
    ".dot{fill:#0969da}.band{fill:#0969da;opacity:.16}.mid{stroke:#0969da;stroke-dasharray:3 3}.axis{stroke:#d0d7de}"
    ".alarm{fill:#cf222e}.fine{fill:#1a7f37}.wrong{fill:none;stroke:#cf222e;stroke-width:1.5}"
    ".accepted{fill:none;stroke:#9a6700;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}.line,.mid{stroke:#58a6ff}.dot,.band{fill:#58a6ff}"
    ".axis{stroke:#3d444d}.alarm{fill:#ff7b72}.fine{fill:#3fb950}.wrong{stroke:#ff7b72}.accepted{stroke:#d29922}}"
    "</style>"
)


def draw(
    recent: Sequence[Point],
    at: date,
    observed: float | None,
    expected: float | None,
    low: float | None,
    high: float | None,
    alarm: bool,
) -> str:
    """An SVG of ``WIDTH`` by ``HEIGHT``. Confirmed incidents are crosses, accepted alarms rings."""
    known = [(n, p) for n, p in enumerate(recent) if p.value is not None and math.isfinite(p.value)]
    band = [value for value in (low, high) if value is not None and math.isfinite(value)]
    values = [p.value for _, p in known if p.answer != "incident" and p.value is not None]
    values += [value for value in (observed, expected) if value is not None] + band
    bottom, top = (min(values), max(values)) if values else (0.0, 1.0)
    if top == bottom:
        top, bottom = top + (abs(top) or 1) * 0.1, bottom - (abs(bottom) or 1) * 0.1
    last = len(recent)

    def x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1), 1)

    def y(value: float) -> float:
        share = (min(max(value, bottom), top) - bottom) / (top - bottom)
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        STYLE,
        f'<line class="axis" x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{HEIGHT - BOTTOM}"/>',
    ]
    if expected is not None and len(band):
        under = y(low) if low is not None and math.isfinite(low) else HEIGHT - BOTTOM
        over = y(high) if high is not None and math.isfinite(high) else TOP
        parts.append(
            f'<rect class="band" x="{x(last) - 9}" y="{over}" width="18" height="{max(under - over, 1):.1f}"/>'
            f'<line class="mid" x1="{x(last) - 9}" y1="{y(expected)}" x2="{x(last) + 9}" y2="{y(expected)}"/>'
        )
    parts += [f'<polyline class="line" points="{line}"/>' for line in _lines(known, x, y)]
    parts += [_mark(x(n), y(p.value or 0.0), p) for n, p in known if p.answer]
    if observed is not None:
        parts.append(
            f'<circle class="{"alarm" if alarm else "fine"}" cx="{x(last)}" cy="{y(observed)}" r="4"/>'
        )
    parts += _words(recent, at, bottom, top)
    return "".join([*parts, "</svg>"])


def markdown(svg: str, title: str) -> str:
    """The plot as a Markdown image that holds its own data."""
    data = base64.b64encode(svg.encode()).decode()
    return f"![{title.replace('[', '(').replace(']', ')')}](data:image/svg+xml;base64,{data})"


def _lines(
    known: Sequence[tuple[int, Point]], x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    """Runs of known values; a gap, or a confirmed incident, is not bridged."""
    runs: list[list[str]] = [[]]
    before = None
    for n, point in known:
        if point.answer == "incident":
            continue
        if before is not None and n != before + 1:
            runs.append([])
        runs[-1].append(f"{x(n)},{y(point.value or 0.0)}")
        before = n
    return [" ".join(run) if len(run) > 1 else f"{run[0]} {run[0]}" for run in runs if run]


def _mark(x: float, y: float, point: Point) -> str:
    if point.answer == "accepted":
        return f'<circle class="accepted" cx="{x}" cy="{y}" r="4"/>'
    return f'<path class="wrong" d="M{x - 3} {y - 3}l6 6m0 -6l-6 6"/>'


def _words(recent: Sequence[Point], at: date, bottom: float, top: float) -> list[str]:
    ends = [(HEIGHT - BOTTOM, bottom), (TOP + 8, top)]
    words = [
        f'<text x="{LEFT - 6}" y="{place}" text-anchor="end">{_short(value)}</text>' for place, value in ends
    ]
    if recent:
        words.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{escape(recent[0].at.isoformat())}</text>')
    words.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(at.isoformat())}</text>'
    )
    return words


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
