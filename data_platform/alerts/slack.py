"""Sends a finished message to Slack, or prints it if there is no webhook.

The webhook's URL is a secret. It is read from the environment when used and appears
in no error: the HTTP library's own exceptions, which quote it, are replaced.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import requests
import tenacity

from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.messages import Post, escape
from data_platform.errors import AlertError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
ATTEMPTS_MAX = 4
BUDGET_SECONDS = 25.0
"""Limit for all attempts and pauses of one message: the orchestrator ends a sensor's tick after 60 s."""


class Channel(Protocol):
    def send(self, post: Post) -> None:
        """Deliver ``post`` at least once; ``AlertError`` if it could not be delivered."""


def open_channel(
    config: AlertsConfig, environ: Mapping[str, str], *, echo: Callable[[str], None] = print
) -> Channel:
    """The channel that ``config`` names; without a webhook, one that prints to ``echo``."""
    if config.slack is None:
        return PrintChannel(echo, "no channel is configured")
    variable = config.slack.webhook_env
    url = environ.get(variable, "").strip()
    if not url:
        return PrintChannel(echo, f"{variable} is not set")
    return SlackChannel(url, variable)


class PrintChannel:
    """Prints what would be sent."""

    def __init__(self, echo: Callable[[str], None], reason: str) -> None:
        self.echo, self.reason = echo, reason

    def send(self, post: Post) -> None:
        self.echo(f"Alert, printed because {self.reason}:\n{post.text}")


class SlackChannel:
    """One incoming webhook. Errors name it by ``variable``, the environment variable that holds its URL."""

    def __init__(
        self,
        url: str,
        variable: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self.variable = url, variable
        self.timeout = (connect_seconds, answer_seconds)
        self.sleep = sleep

    def __repr__(self) -> str:
        return f"SlackChannel({self.variable})"

    def send(self, post: Post) -> None:
        if not re.match(r"https?://[^/\s]+", self._url):
            raise AlertError(
                f"The value of {self.variable} is not a URL that starts with https://: copy the"
                " webhook's URL from the Slack app's settings."
            )
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(ATTEMPTS_MAX), tenacity.stop_before_delay(BUDGET_SECONDS)
            ),
            wait=_wait,
            sleep=self.sleep,
            reraise=True,
        )
        failure: _TryAgain | None = None
        try:
            attempts(self._post, post)
        except _TryAgain as error:
            failure = error
        if failure is not None:  # raised outside the handler, so that no cause or context is kept
            raise AlertError(
                f"An alert could not be delivered to the Slack webhook in {self.variable}"
                f" ({failure.reason}, {attempts.statistics['attempt_number']} attempts). The next"
                " check sends it again. Check the network and Slack's status page."
            )

    def _post(self, post: Post) -> None:
        answer = self._answer(post.payload)
        if answer.status_code == 400:
            # Blocks that Slack rejects must not block this message and every later one.
            answer = self._answer({"text": escape(post.text), "unfurl_links": False, "unfurl_media": False})
        if answer.status_code == 429 or answer.status_code >= 500:
            raise _TryAgain(f"HTTP {answer.status_code}", _retry_after(answer.headers.get("Retry-After")))
        if answer.status_code >= 300:
            # Slack answers with one word, such as no_service or channel_is_archived.
            word = answer.text if re.fullmatch(r"[a-z_]{1,60}", answer.text) else "no reason given"
            raise AlertError(
                f"Slack refused a message to the webhook in {self.variable}: HTTP"
                f" {answer.status_code} ({word}). The webhook may have been revoked or its channel"
                f" archived: create a new webhook and set {self.variable}."
            )

    def _answer(self, payload: dict[str, Any]) -> requests.Response:
        reason = ""
        try:
            # A redirect would send the message to a host that nobody configured.
            return requests.post(self._url, json=payload, timeout=self.timeout, allow_redirects=False)
        except requests.Timeout:
            reason = f"no answer within {self.timeout[1]:g} s"
        except requests.ConnectionError:
            reason = "no connection"
        except (requests.RequestException, UnicodeError) as error:
            reason = type(error).__name__
        raise _TryAgain(reason)


class _TryAgain(Exception):
    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.after_seconds = reason, after_seconds


_back_off = tenacity.wait_random_exponential(multiplier=1, min=0.5, max=8)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_seconds if isinstance(error, _TryAgain) else None
    return asked if asked is not None else _back_off(state)


def _retry_after(header: str | None) -> float | None:
    """The seconds in the header, given as a number or as a date; None if it has neither."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
