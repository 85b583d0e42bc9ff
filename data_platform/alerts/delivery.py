"""Delivers a JSON document over HTTP: bounded attempts, and errors that never show the URL.

The URL is a secret. The HTTP library's own exceptions, which quote it, are replaced.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import tenacity

from data_platform.errors import AlertError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
ATTEMPTS_MAX = 4
BUDGET_SECONDS = 25.0
"""Limit for all attempts and pauses of one message: the orchestrator ends a sensor's tick after 60 s."""


@dataclass(frozen=True)
class Delivery:
    """One address. Errors name it as ``what`` and by ``variable``, the environment variable that holds its ``url``.
    ``refused`` says what to do when it answers that it takes no message."""

    url: str
    what: str
    variable: str
    refused: str
    headers: Mapping[str, str] | None = None
    connect_seconds: float = CONNECT_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    sleep: Callable[[float], None] = time.sleep

    def __repr__(self) -> str:
        return f"Delivery({self.variable})"

    def post(self, payload: Mapping[str, Any], otherwise: Mapping[str, Any] | None = None) -> None:
        """Send ``payload``; ``otherwise`` instead if the receiver answers that it is malformed. ``AlertError``
        when neither arrives."""
        if not re.match(r"https?://[^/\s]+", self.url):
            raise AlertError(
                f"The value of {self.variable} is not a URL that starts with https://: set it to the URL of"
                f" {self.what}."
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
            attempts(self._post, payload, otherwise)
        except _TryAgain as error:
            failure = error
        if failure is not None:  # raised outside the handler, so that no cause or context is kept
            raise AlertError(
                f"An alert could not be delivered to {self.what} in {self.variable}"
                f" ({failure.reason}, {attempts.statistics['attempt_number']} attempts). The next"
                " check sends it again. Check the network and the receiver's status page."
            )

    def _post(self, payload: Mapping[str, Any], otherwise: Mapping[str, Any] | None) -> None:
        answer = self._answer(payload)
        if answer.status_code == 400 and otherwise is not None:
            # What the receiver takes for malformed must not block this message and every later one.
            answer = self._answer(otherwise)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise _TryAgain(f"HTTP {answer.status_code}", _retry_after(answer.headers.get("Retry-After")))
        if answer.status_code >= 300:
            # Slack answers with one word, such as no_service or channel_is_archived.
            word = answer.text if re.fullmatch(r"[a-z_]{1,60}", answer.text) else "no reason given"
            raise AlertError(
                f"A message was refused by {self.what} in {self.variable}: HTTP {answer.status_code} ({word})."
                f" {self.refused}"
            )

    def _answer(self, payload: Mapping[str, Any]) -> requests.Response:
        reason = ""
        try:
            # A redirect would send the message to a host that nobody configured.
            return requests.post(
                self.url,
                json=payload,
                headers=self.headers,
                timeout=(self.connect_seconds, self.answer_seconds),
                allow_redirects=False,
            )
        except requests.Timeout:
            reason = f"no answer within {self.answer_seconds:g} s"
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
