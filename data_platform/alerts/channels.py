"""What every kind of alert channel promises; one module a kind beside this one, one line a kind in ``kinds.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Notice:
    """One incident as it is told: a channel renders it. Nothing in it is of a row; no text in it is escaped.

    ``name`` is the object that failed or recovered, ``pairs`` are names with their values (where, since, numbers), and
    ``url`` is the page in the UI.
    """

    key: str
    recovered: bool
    title: str
    name: str
    summary: str
    pairs: tuple[tuple[str, str], ...]
    url: str

    @property
    def headline(self) -> str:
        return f"{self.title}: {self.name}"


@dataclass(frozen=True, slots=True)
class Post:
    """One message to send: some notices of an environment, at most ``messages.INCIDENTS_PER_POST``."""

    environment: str
    notices: tuple[Notice, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(notice.key for notice in self.notices)

    @property
    def headlines(self) -> tuple[str, ...]:
        return tuple(f"[{self.environment}] {notice.headline}" for notice in self.notices)

    @property
    def text(self) -> str:
        """All of it for a terminal, a log or a mail."""
        lines: list[str] = []
        for headline, notice in zip(self.headlines, self.notices, strict=True):
            lines.append(headline)
            lines += [f"  {notice.summary}"] if notice.summary else []
            lines += [f"  {name}: {value}" for name, value in notice.pairs]
            lines.append(f"  {notice.url}")
        return "\n".join(lines)


class Channel(Protocol):
    @property
    def name(self) -> str:
        """Tells it from the other channels of its environment, today and tomorrow; no secret."""

    def send(self, post: Post) -> None:
        """Deliver ``post`` at least once; ``AlertError`` if it could not be delivered, within half a minute."""


class ChannelConfig(Protocol):
    """The YAML of a channel. Its secrets are named by environment variables, in keys that end in ``_env``."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str:
        """The opened channel's."""

    def unset(self, environ: Mapping[str, str]) -> str | None:
        """The variable without which nothing can be sent, if it is not set: messages are printed then."""

    def open(self, environ: Mapping[str, str]) -> Channel:
        """The channel, which connects to nothing before it sends."""


class PrintChannel:
    """Prints what would be sent."""

    name = "print"

    def __init__(self, echo: Callable[[str], None], reason: str) -> None:
        self.echo, self.reason = echo, reason

    def send(self, post: Post) -> None:
        self.echo(f"Alert, printed because {self.reason}:\n{post.text}")


def open_channels(
    configs: Sequence[ChannelConfig], environ: Mapping[str, str], *, echo: Callable[[str], None] = print
) -> list[Channel]:
    """Every channel of ``configs``. One that prints to ``echo`` stands for those whose variable is not set, and for
    all where there is none."""
    unset = [variable for config in configs if (variable := config.unset(environ))]
    opened = [config.open(environ) for config in configs if not config.unset(environ)]
    if not configs:
        return [PrintChannel(echo, "no channel is configured")]
    if unset:
        are = "is" if len(unset) == 1 else "are"
        opened.append(PrintChannel(echo, f"{' and '.join(unset)} {are} not set"))
    return opened
