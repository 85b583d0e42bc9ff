"""Ticks of a sensor without the sensor: problems of now, a book in a folder, channels that are told what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from data_platform.alerts.announce import Announcement, Outward, announce
from data_platform.alerts.book import Book
from data_platform.alerts.channels import Channel, Post
from data_platform.alerts.problem import Problem
from data_platform.alerts.routing import Route, Routing
from data_platform.errors import AlertError, AlertRefused
from data_platform.stores import Store

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def problem(name: str = "a", kind: str = "check", **changes: Any) -> Problem:
    fields: dict[str, Any] = {"where": "raw", "summary": f"{name} is broken", "numbers": {}, "since": NOON}
    return Problem(kind=kind, object=name, **{**fields, **changes})


@dataclass
class Recorder:
    """A channel that keeps what it is sent. ``up`` says what it does: deliver, fail for now or refuse."""

    threads: bool = True
    up: bool | None = True
    posts: list[Post] = field(default_factory=list)

    def send(self, post: Post) -> str:
        if self.up is None:
            raise AlertRefused("refused")
        if not self.up:
            raise AlertError("down")
        self.posts.append(post)
        return post.reference or f"ref-{post.thread}"

    def heard(self) -> list[str]:
        """``event: object`` of everything since this was asked last."""
        found = [f"{one.event}: {one.name}" for post in self.posts for one in post.notices]
        self.posts.clear()
        return found


@dataclass
class Ticker:
    """One sensor. ``store`` None: only its cursor keeps anything."""

    channels: Mapping[str, Channel]
    routes: Sequence[Route] = ()
    fallback: tuple[str, ...] = ()
    store: Store | None = None
    cursor: str | None = None
    now: datetime = NOON

    def out(self) -> Outward:
        return Outward(
            self.channels, Routing(self.routes, everything=tuple(self.channels), fallback=self.fallback)
        )

    def tick(self, *problems: Problem, minutes: float = 1, **options: Any) -> Announcement:
        self.now += timedelta(minutes=minutes)
        done = announce(
            Book("alerts", self.store, cursor=self.cursor),
            problems,
            self.now,
            self.out(),
            environment="local",
            ui_url="http://ui",
            **options,
        )
        self.cursor = done.cursor
        return done


def routes(*raw: dict[str, Any]) -> tuple[Route, ...]:
    return tuple(Route.model_validate(one) for one in raw)
