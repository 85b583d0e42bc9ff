"""Slack: messages as blocks, to an incoming webhook.

The webhook's URL is a secret. It is read from the environment when used and appears in no error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from data_platform.alerts.channels import Notice, Post
from data_platform.alerts.incidents import clip
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    from data_platform.alerts.delivery import Delivery

FALLBACK_CHARACTERS = 3000
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
    def name(self) -> str:
        return f"slack {self.webhook_env}"

    def unset(self, environ: Mapping[str, str]) -> str | None:
        return None if environ.get(self.webhook_env, "").strip() else self.webhook_env

    def open(self, environ: Mapping[str, str], **options: Any) -> SlackChannel:
        """``options`` are those of ``Delivery``."""
        from data_platform.alerts.delivery import Delivery

        refused = f"The webhook may have been revoked or its channel archived: create a new webhook and set {self.webhook_env}."
        url = environ.get(self.webhook_env, "").strip()
        return SlackChannel(
            self.name, Delivery(url, "the Slack webhook", self.webhook_env, refused, **options)
        )


class SlackChannel:
    def __init__(self, name: str, delivery: Delivery) -> None:
        self.name, self._delivery = name, delivery

    def send(self, post: Post) -> None:
        plain = {"text": escape(post.text), "unfurl_links": False, "unfurl_media": False}
        self._delivery.post(payload(post), plain)


def payload(post: Post) -> dict[str, Any]:
    """``post`` as the JSON of an incoming webhook."""
    blocks: list[dict[str, Any]] = []
    for notice in post.notices:
        if blocks:
            blocks.append({"type": "divider"})
        blocks.extend(_blocks(notice, post.environment))
    return {
        "text": clip(escape("\n".join(post.headlines)), FALLBACK_CHARACTERS),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escape(text: str) -> str:
    """Escape Slack's three control characters, so that no text can mention, link or notify anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _blocks(notice: Notice, environment: str) -> list[dict[str, Any]]:
    sign = ":large_green_circle:" if notice.recovered else ":red_circle:"
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
