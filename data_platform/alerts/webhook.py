"""Any receiver of JSON: a service of one's own, or one that turns a webhook into pages, tickets and mails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from data_platform.alerts.channels import Post
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    from data_platform.alerts.delivery import Delivery


class WebhookConfig(Model):
    """A URL that takes JSON. The URL and the token are secrets, so the catalog holds only the variables' names."""

    kind: Literal["webhook"] = Field(description="Any URL that takes JSON.")
    url_env: str = Field(
        pattern=VARIABLE,
        description="Environment variable that holds the URL, read when a message is sent. If it is not set, messages"
        " are printed instead.",
    )
    token_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds a token, which is sent as `Authorization: Bearer`.",
    )

    @property
    def name(self) -> str:
        return f"webhook {self.url_env}"

    def unset(self, environ: Mapping[str, str]) -> str | None:
        named = [name for name in (self.url_env, self.token_env) if name]
        return next((name for name in named if not environ.get(name, "").strip()), None)

    def open(self, environ: Mapping[str, str], **options: Any) -> WebhookChannel:
        """``options`` are those of ``Delivery``."""
        from data_platform.alerts.delivery import Delivery

        token = environ.get(self.token_env, "").strip() if self.token_env else ""
        headers = {"Authorization": f"Bearer {token}"} if token else None
        refused = f"See what the receiver expects, and check {self.url_env} and its token."
        url = environ.get(self.url_env, "").strip()
        return WebhookChannel(
            self.name, Delivery(url, "the webhook", self.url_env, refused, headers=headers, **options)
        )


class WebhookChannel:
    def __init__(self, name: str, delivery: Delivery) -> None:
        self.name, self._delivery = name, delivery

    def send(self, post: Post) -> None:
        self._delivery.post(payload(post))


def payload(post: Post) -> dict[str, Any]:
    """``post`` as docs/alerts.md describes it."""
    return {
        "environment": post.environment,
        "text": post.text,
        "incidents": [
            {
                "key": notice.key,
                "state": "recovered" if notice.recovered else "open",
                "title": notice.title,
                "object": notice.name,
                "summary": notice.summary,
                "facts": dict(notice.pairs),
                "url": notice.url,
            }
            for notice in post.notices
        ],
    }
