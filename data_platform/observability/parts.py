"""The small parts of the status page: escaped text, icons, times, badges, meters. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from data_platform.observability.trust import ASPECTS, State, Trust
from data_platform.observability.words import ASPECT, STATE, moment, reason
from data_platform.printable import printable_line

ORDER: tuple[State, ...] = ("ok", "warn", "unknown", "bad")
_SHAPES = {
    "ok": '<circle cx="8" cy="8" r="7.25" fill="currentColor"/><path d="M4.7 8.3l2.2 2.2 4.4-4.7" fill="none" stroke="var(--card)"'
    ' stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>',
    "warn": '<path d="M8 1.2l7 12.6H1z" fill="currentColor" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round"/>'
    '<path d="M8 6v3.6" stroke="var(--card)" stroke-width="1.7" stroke-linecap="round"/><circle cx="8" cy="11.8" r="1"'
    ' fill="var(--card)"/>',
    "bad": '<rect x="1" y="1" width="14" height="14" rx="4" fill="currentColor"/><path d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6"'
    ' stroke="var(--card)" stroke-width="1.8" stroke-linecap="round"/>',
    "unknown": '<circle cx="8" cy="8" r="6.6" fill="none" stroke="currentColor" stroke-width="1.4" stroke-dasharray="2.6 1.6"/>'
    '<path d="M6.3 6.4a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.9.7-.9 1.3" fill="none" stroke="currentColor" stroke-width="1.4"'
    ' stroke-linecap="round"/><circle cx="8" cy="11.4" r=".9" fill="currentColor"/>',
    "none": '<path d="M4.5 8h7" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"/>',
    "chevron": '<path d="M6 3.5L10.5 8 6 12.5" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"'
    ' stroke-linejoin="round"/>',
}
SYMBOLS = (
    '<svg class="hidden" aria-hidden="true">'
    + "".join(
        f'<symbol id="i-{name}" viewBox="0 0 16 16">{shape}</symbol>' for name, shape in _SHAPES.items()
    )
    + "</svg>\n"
)


def text(value: str) -> str:
    """``value`` as text of the page, whatever is in it: no character acts on the page or on how it is read."""
    return html.escape(printable_line(value), quote=True)


def name(label: str) -> str:
    """A name that may break where its parts meet."""
    return re.sub(r"(/|\.|__)", r"\1<wbr>", text(label))


def icon(state: State) -> str:
    return f'<svg class="icon {state}" aria-hidden="true"><use href="#i-{state}"/></svg>'


def chevron() -> str:
    return '<svg class="icon chevron" aria-hidden="true"><use href="#i-chevron"/></svg>'


def time(at: datetime) -> str:
    return f'<time datetime="{at.astimezone(UTC).isoformat(timespec="seconds")}">{moment(at)}</time>'


def since(at: datetime | None) -> str:
    return (
        f'since {time(at)}, <span data-ago="{at.astimezone(UTC).isoformat(timespec="seconds")}"></span>'
        if at
        else ""
    )


def badge(state: State) -> str:
    return f'<span class="badge {state}">{icon(state)}{STATE[state].capitalize()}</span>'


def link(address: str, words: str) -> str:
    """Of an address that is none of the web, the words alone."""
    if not re.match(r"https?://", address):
        return text(words)
    return f'<a href="{text(address)}">{text(words)}</a>'


def aspects(trust: Trust, of: str) -> str:
    """The four aspects in a line, each with its reason to be read on."""
    lines = "".join(
        f'<li class="{aspect.state}" title="{text(reason(aspect, of))}">{icon(aspect.state)}<span class="word">{ASPECT[name]}'
        f'</span><span class="hidden">: {STATE[aspect.state]}. {text(reason(aspect, of))}</span></li>'
        for name, aspect in zip(ASPECTS, trust.aspects, strict=True)
    )
    return f'<ul class="aspects">{lines}</ul>'


def meter(counts: Mapping[State, int], *, legend: bool = False) -> str:
    """How many are in which state, as a bar and, with ``legend``, in words."""
    some = [(state, counts.get(state, 0)) for state in ORDER if counts.get(state, 0)]
    bar = "".join(f'<span class="{state}" style="--n:{number}"></span>' for state, number in some)
    said = ", ".join(f"{number} {STATE[state]}" for state, number in some)
    shown = f'<div class="meter" role="img" aria-label="{said}">{bar}</div>' if some else ""
    if legend and some:
        items = "".join(f"<li>{icon(state)} {number} {STATE[state]}</li>" for state, number in some)
        shown += f'<ul class="legend">{items}</ul>'
    return shown
