"""Delivers a JSON document over HTTP: bounded attempts, and errors that never show the URL.

The URL is a secret. The HTTP library's own exceptions, which quote it, are replaced.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import requests
import tenacity

from data_platform.errors import AlertError, AlertRefused

T = TypeVar("T")
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
    sign: Callable[[bytes], Mapping[str, str]] | None = None
    judge: Callable[[requests.Response], Verdict] | None = None
    connect_seconds: float = CONNECT_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    attempts: int = ATTEMPTS_MAX
    sleep: Callable[[float], None] = time.sleep

    def __repr__(self) -> str:
        return f"Delivery({self.variable})"

    def post(
        self, payload: Mapping[str, Any], otherwise: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """Send ``payload``; ``otherwise`` instead if the receiver answers that it is malformed. ``AlertError``
        when neither arrives."""
        return self._tried("POST", payload, otherwise)

    def get(self) -> None:
        """Ask for the address; ``AlertError`` if it does not answer that all is well."""
        self._tried("GET", None, None)

    def _tried(
        self, method: str, payload: Mapping[str, Any] | None, otherwise: Mapping[str, Any] | None
    ) -> requests.Response:
        if not re.match(r"https?://[^/\s]+", self.url):
            raise AlertRefused(
                f"The value of {self.variable} is not a URL that starts with https://: set it to the URL of"
                f" {self.what}."
            )
        return attempted(
            lambda: self._once(method, payload, otherwise),
            f"{self.what} in {self.variable}",
            self.sleep,
            self.attempts,
        )

    def _once(
        self, method: str, payload: Mapping[str, Any] | None, otherwise: Mapping[str, Any] | None
    ) -> requests.Response:
        answer = self._answer(method, payload)
        verdict = self._verdict(answer)
        if verdict.malformed and otherwise is not None:
            # What the receiver takes for malformed must not block this message and every later one.
            answer = self._answer(method, otherwise)
            verdict = self._verdict(answer)
        if verdict.busy:
            raise TryAgain(verdict.reason, _retry_after(answer.headers.get("Retry-After")))
        if not verdict.taken:
            raise AlertRefused(
                f"A message was refused by {self.what} in {self.variable}: {verdict.reason}. {self.refused}"
            )
        return answer

    def _verdict(self, answer: requests.Response) -> Verdict:
        code = answer.status_code
        if code < 300:
            return self.judge(answer) if self.judge is not None else Verdict(taken=True)
        if code == 429 or code >= 500:
            return Verdict(busy=True, reason=f"HTTP {code}")
        # Slack answers with one word, such as no_service or channel_is_archived.
        return Verdict(malformed=code == 400, reason=f"HTTP {code} ({one_word(answer.text)})")

    def _answer(self, method: str, payload: Mapping[str, Any] | None) -> requests.Response:
        body = None if payload is None else json.dumps(payload, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"} if body is not None else {}
        headers |= dict(self.headers or {}) | dict(self.sign(body) if self.sign and body is not None else {})
        reason = ""
        try:
            # A redirect would send the message to a host that nobody configured.
            return requests.request(
                method,
                self.url,
                data=body,
                headers=headers,
                timeout=(self.connect_seconds, self.answer_seconds),
                allow_redirects=False,
            )
        except requests.Timeout:
            reason = f"no answer within {self.answer_seconds:g} s"
        except requests.ConnectionError:
            reason = "no connection"
        except (requests.RequestException, UnicodeError) as error:
            reason = type(error).__name__
        raise TryAgain(reason)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means: the message was taken, or is to be tried again, or is refused because of how it is made."""

    taken: bool = False
    busy: bool = False
    malformed: bool = False
    reason: str = ""


def one_word(text: object) -> str:
    """A receiver's reason where it is one word, which cannot quote a secret."""
    return text if isinstance(text, str) and re.fullmatch(r"[a-z_]{1,60}", text) else "no reason given"


def attempted(
    once: Callable[[], T], where: str, sleep: Callable[[float], None], most: int = ATTEMPTS_MAX
) -> T:
    """What ``once`` returns, called again for a while as long as it raises ``TryAgain``; AlertError after that."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TryAgain),
        stop=tenacity.stop_any(tenacity.stop_after_attempt(most), tenacity.stop_before_delay(BUDGET_SECONDS)),
        wait=_wait,
        sleep=sleep,
        reraise=True,
    )
    reason = ""
    try:
        return attempts(once)
    except TryAgain as error:
        reason = error.reason
    # raised outside the handler, so that no cause or context is kept
    raise AlertError(
        f"An alert could not be delivered to {where}"
        f" ({reason}, {attempts.statistics['attempt_number']} attempts). The next"
        " check sends it again. Check the network and the receiver's status page."
    )


class TryAgain(Exception):
    """An attempt that failed in a way that may pass."""

    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.after_seconds = reason, after_seconds


_back_off = tenacity.wait_random_exponential(multiplier=1, min=0.5, max=8)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_seconds if isinstance(error, TryAgain) else None
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
