"""Slack by a bot (``chat.postMessage``): an incident is one thread, which a webhook cannot make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from data_platform.alerts.channels import Post
from data_platform.alerts.slack import payload, plain
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    import requests

    from data_platform.alerts.delivery import Delivery, Verdict

URL = "https://slack.com/api/chat.postMessage"
BUSY = {
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "ratelimited",
    "rate_limited",
}
MALFORMED = {"invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long"}


class SlackBotConfig(Model):
    """A bot of a Slack app with the scope `chat:write`. Its token is a secret, so the catalog holds only the variable's name."""

    kind: Literal["slack_bot"] = Field(
        description="A bot of a Slack app, which keeps each incident in a thread."
    )
    channel: str = Field(
        min_length=1,
        pattern=r"^[#\w][\w.-]*$",
        description="The channel's ID, such as C0123456789, or its name. The bot must be a member of it.",
    )
    token_env: str = Field(
        default="SLACK_BOT_TOKEN",
        pattern=VARIABLE,
        description="Environment variable that holds the bot's token (xoxb-...). If it is not set, messages go to the fallback"
        " or are printed.",
    )
    url: str = Field(
        default=URL,
        pattern=r"^(https://[^\s<>|]+|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?)$",
        description="Where messages are posted; Slack's own by default.",
    )

    def unset(self, environ: Mapping[str, str]) -> str | None:
        return None if environ.get(self.token_env, "").strip() else self.token_env

    def open(self, environ: Mapping[str, str], **options: Any) -> SlackBotChannel:
        """``options`` are those of ``Delivery``."""
        from data_platform.alerts.delivery import Delivery

        refused = (
            f"Check that {self.token_env} is a bot's token with the scope chat:write, and that the bot is a member of"
            f" {self.channel}."
        )
        headers = {"Authorization": f"Bearer {environ.get(self.token_env, '').strip()}"}
        delivery = Delivery(
            self.url, "Slack", self.token_env, refused, headers=headers, judge=judged, **options
        )
        return SlackBotChannel(delivery, self.channel)


class SlackBotChannel:
    threads = True

    def __init__(self, delivery: Delivery, channel: str) -> None:
        self._delivery, self._channel = delivery, channel

    def send(self, post: Post) -> str:
        where = {"channel": self._channel} | ({"thread_ts": post.reference} if post.reference else {})
        answer = self._delivery.post(where | payload(post), where | plain(post))
        return post.reference or str(answer.json().get("ts", ""))


def judged(answer: requests.Response) -> Verdict:
    """Slack answers 200 to what it refuses, and says why in one word."""
    from data_platform.alerts.delivery import Verdict, one_word

    try:
        told = answer.json()
    except ValueError:
        return Verdict(busy=True, reason="an answer that is not JSON")
    if isinstance(told, dict) and told.get("ok") is True:
        return Verdict(taken=True)
    word = one_word(told.get("error") if isinstance(told, dict) else None)
    return Verdict(busy=word in BUSY, malformed=word in MALFORMED, reason=word)
