"""Slack: messages as blocks, to an incoming webhook.

The webhook's URL is a secret. It is read from the environment when used and appears in no error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from data_platform.alerts.channels import Notice, Post
from data_platform.alerts.problem import clip
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    from data_platform.alerts.delivery import Delivery

FALLBACK_CHARACTERS = 3000
TEXT_CHARACTERS = 30_000
BLOCK_CHARACTERS = 2_900
DIGEST_SUBJECT_CHARACTERS = 500
FIELDS_MAX = 10
"""A section accepts ten; where, since, until and eight numbers are eleven."""


class SlackConfig(Model):
    """A Slack incoming webhook. Its URL is a secret, so the catalog holds only the variable's name."""

    kind: Literal["slack"] = Field(default="slack", description="A Slack incoming webhook.")
    webhook_env: str = Field(
        default="SLACK_WEBHOOK_URL",
        pattern=VARIABLE,
        description="Environment variable that holds the webhook URL, read when a message is sent."
        " If it is not set, messages are printed instead.",
    )

    @property
    def name_before(self) -> str:
        """The channel in the cursors of earlier versions."""
        return f"slack {self.webhook_env}"

    def unset(self, environ: Mapping[str, str]) -> str | None:
        return None if environ.get(self.webhook_env, "").strip() else self.webhook_env

    def open(self, environ: Mapping[str, str], **options: Any) -> SlackChannel:
        """``options`` are those of ``Delivery``."""
        from data_platform.alerts.delivery import Delivery

        refused = f"The webhook may have been revoked or its channel archived: create a new webhook and set {self.webhook_env}."
        url = environ.get(self.webhook_env, "").strip()
        return SlackChannel(Delivery(url, "the Slack webhook", self.webhook_env, refused, **options))


class SlackChannel:
    threads = False
    """A webhook answers `ok` and names no message to reply to."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def send(self, post: Post) -> str:
        self._delivery.post(payload(post), plain(post))
        return ""


def payload(post: Post) -> dict[str, Any]:
    """``post`` as the JSON of an incoming webhook."""
    return {
        "text": clip(
            escape("\n".join([post.subject] if post.digest else post.headlines)), FALLBACK_CHARACTERS
        ),
        "blocks": blocks(post),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def plain(post: Post) -> dict[str, Any]:
    """``post`` without blocks, for the case that Slack dislikes them."""
    text = clip(escape(post.text), TEXT_CHARACTERS)
    return {"text": text, "unfurl_links": False, "unfurl_media": False}


def blocks(post: Post) -> list[dict[str, Any]]:
    """At most 49 blocks, of at most 3,000 characters each."""
    if post.digest:
        return _digest(post)
    found: list[dict[str, Any]] = []
    for notice in post.notices:
        if found:
            found.append({"type": "divider"})
        found.extend(_blocks(notice, post.environment))
    return found


def _digest(post: Post) -> list[dict[str, Any]]:
    sign = _sign(post.notices[0].event)
    texts = [f"{sign} *{escape(clip(post.subject, DIGEST_SUBJECT_CHARACTERS))}*"]
    for line in post.lines():
        text = escape(line)
        if len(texts) == 1 or len(texts[-1]) + len(text) >= BLOCK_CHARACTERS:
            texts.append(text)
        else:
            texts[-1] += f"\n{text}"
    footer = f"<{post.url}|Open Dagster>  ·  {escape(post.environment)}"
    return [
        *({"type": "section", "text": _mrkdwn(text)} for text in texts),
        {"type": "context", "elements": [_mrkdwn(footer)]},
    ]


def _sign(event: str) -> str:
    if event in ("recovered", "resolved"):
        return ":large_green_circle:"
    return ":zzz:" if event == "snoozed" else ":red_circle:"


def escape(text: str) -> str:
    """Escape Slack's three control characters, so that no text can mention, link or notify anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _blocks(notice: Notice, environment: str) -> list[dict[str, Any]]:
    sign = _sign(notice.event)
    name = escape(notice.name.replace("`", "'"))
    lines = [f"{sign} *{notice.title}* `{name}`"]
    lines += [escape(notice.summary)] if notice.summary else []
    fields = [f"*{escape(key)}*\n{escape(value)}" for key, value in notice.pairs]
    footer = f"<{notice.url}|Open in Dagster>  ·  {escape(environment)}"
    return [
        {"type": "section", "text": _mrkdwn("\n".join(lines))},
        {"type": "section", "fields": [_mrkdwn(field) for field in fields[:FIELDS_MAX]]},
        {"type": "context", "elements": [_mrkdwn(footer)]},
    ]


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
