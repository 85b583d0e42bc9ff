"""What every kind of alert channel promises; one module a kind beside this one, one line a kind in ``kinds.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data_platform.alerts.outbox import BURST, Event
from data_platform.alerts.problem import Severity

LISTED_IN_DIGEST = 40
PRINT = "print"
"""The channel that prints; no channel of the catalog may have its name."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said of one incident: a channel renders it. Nothing in it is of a row; no text in it is escaped.

    ``name`` is the object that failed or recovered, ``pairs`` are names with their values (where, since, numbers), and
    ``url`` is the page in the UI.
    """

    key: str
    event: Event
    title: str
    name: str
    summary: str
    pairs: tuple[tuple[str, str], ...]
    url: str
    severity: Severity = "error"
    kind: str = ""

    @property
    def recovered(self) -> bool:
        return self.event in ("recovered", "resolved")

    @property
    def headline(self) -> str:
        return f"{self.title}: {self.name}"


@dataclass(frozen=True, slots=True)
class Post:
    """One message to send: some notices of an environment that say the same event. Mostly it is one.

    All messages of a ``thread`` belong together; ``reference`` is what the channel returned for the first of them, empty
    before. ``over``: nothing of the thread is open any more. ``url`` is the first page of the UI.
    """

    environment: str
    notices: tuple[Notice, ...]
    thread: str = ""
    reference: str = ""
    over: bool = False
    url: str = ""

    @property
    def event(self) -> Event:
        return self.notices[0].event if self.notices else "opened"

    @property
    def digest(self) -> bool:
        """Whether it is too much to say all of everything."""
        return len(self.notices) > BURST

    @property
    def severity(self) -> Severity:
        return "error" if any(notice.severity == "error" for notice in self.notices) else "warn"

    @property
    def headlines(self) -> tuple[str, ...]:
        return tuple(f"[{self.environment}] {notice.headline}" for notice in self.notices)

    @property
    def subject(self) -> str:
        """One line for all of it."""
        if len(self.notices) == 1:
            return self.headlines[0]
        counts = Counter(notice.title for notice in self.notices)
        told = ", ".join(f"{count:,} × {title}" for title, count in counts.most_common())
        return f"[{self.environment}] {told}"

    def lines(self, most: int = LISTED_IN_DIGEST) -> list[str]:
        """A digest's headlines, with the number of those beyond ``most``."""
        found = [notice.headline for notice in self.notices[:most]]
        left = len(self.notices) - len(found)
        return [*found, *([f"… and {left:,} more"] if left else [])]

    @property
    def text(self) -> str:
        """All of it for a terminal, a log or a mail."""
        if self.digest:
            return "\n".join([self.subject, *(f"  {line}" for line in self.lines()), f"  {self.url}"])
        lines: list[str] = []
        for headline, notice in zip(self.headlines, self.notices, strict=True):
            lines.append(headline)
            lines += [f"  {notice.summary}"] if notice.summary else []
            lines += [f"  {name}: {value}" for name, value in notice.pairs]
            lines.append(f"  {notice.url}")
        return "\n".join(lines)


class Channel(Protocol):
    threads: bool
    """Whether it joins the messages of a thread. Where it does not, many recoveries are one message."""

    def send(self, post: Post) -> str:
        """Deliver ``post`` at least once; ``AlertError`` if it could not be delivered, within half a minute, and
        ``AlertRefused`` if it will not be as things are. Returns what the channel calls the thread, empty if it has no name
        for it."""


class ChannelConfig(Protocol):
    """The YAML of a channel. Its secrets are named by environment variables, in keys that end in ``_env``."""

    @property
    def kind(self) -> str: ...

    def unset(self, environ: Mapping[str, str]) -> str | None:
        """The variable without which nothing can be sent, if it is not set: messages go to the fallback then, or are
        printed."""

    def open(self, environ: Mapping[str, str]) -> Channel:
        """The channel, which connects to nothing before it sends."""


class PrintChannel:
    """Prints what would be sent."""

    threads = False

    def __init__(self, echo: Callable[[str], None], reason: str) -> None:
        self.echo, self.reason = echo, reason

    def send(self, post: Post) -> str:
        self.echo(f"Alert, printed because {self.reason}:\n{post.text}")
        return ""


@dataclass(frozen=True)
class Opened:
    """The channels that can send, by name, and for each other one those that report in its place."""

    channels: Mapping[str, Channel]
    instead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def open_channels(
    configs: Mapping[str, ChannelConfig],
    environ: Mapping[str, str],
    *,
    fallback: Sequence[str] = (),
    echo: Callable[[str], None] = print,
) -> Opened:
    """Every channel of ``configs``. Those whose variable is not set leave their messages to the ``fallback``; what is left to
    nobody is printed to ``echo``, with the reason."""
    unset = {name: variable for name, config in configs.items() if (variable := config.unset(environ))}
    channels: dict[str, Channel] = {
        name: config.open(environ) for name, config in configs.items() if name not in unset
    }
    others = tuple(name for name in fallback if name in channels)
    instead = dict.fromkeys(unset, others or (PRINT,))
    variables = list(dict.fromkeys(unset.values()))
    named = " and ".join([", ".join(variables[:-1]), *variables[-1:]] if len(variables) > 1 else variables)
    reason = f"{named} {'is' if len(variables) == 1 else 'are'} not set"
    channels[PRINT] = PrintChannel(echo, reason if unset else "no channel is configured")
    return Opened(channels, instead)
