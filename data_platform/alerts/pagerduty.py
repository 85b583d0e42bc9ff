"""PagerDuty, by its Events API v2: a thread is one alert there, found again by its ``dedup_key``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from data_platform.alerts.channels import Post
from data_platform.alerts.problem import clip
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    from data_platform.alerts.delivery import Delivery

URL = "https://events.pagerduty.com/v2/enqueue"
SUMMARY_CHARACTERS = 1024
LISTED_MAX = 100
ACTIONS = {"snoozed": "acknowledge", "recovered": "resolve", "resolved": "resolve"}


class PagerDutyConfig(Model):
    """An integration of a PagerDuty service. Its routing key is a secret, so the catalog holds only the variable's name."""

    kind: Literal["pagerduty"] = Field(description="PagerDuty, by its Events API v2.")
    routing_key_env: str = Field(
        default="PAGERDUTY_ROUTING_KEY",
        pattern=VARIABLE,
        description="Environment variable that holds the integration key (routing key) of the service. If it is not set,"
        " messages go to the fallback or are printed.",
    )
    url: str = Field(
        default=URL,
        pattern=r"^(https://[^\s<>|]+|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?)$",
        description="Where events go. Accounts in the EU have https://events.eu.pagerduty.com/v2/enqueue.",
    )

    def unset(self, environ: Mapping[str, str]) -> str | None:
        return None if environ.get(self.routing_key_env, "").strip() else self.routing_key_env

    def open(self, environ: Mapping[str, str], **options: Any) -> PagerDutyChannel:
        """``options`` are those of ``Delivery``."""
        from data_platform.alerts.delivery import Delivery

        refused = f"Check that {self.routing_key_env} is the integration key of an Events API v2 integration."
        delivery = Delivery(self.url, "PagerDuty", self.routing_key_env, refused, **options)
        return PagerDutyChannel(delivery, environ.get(self.routing_key_env, "").strip())


class PagerDutyChannel:
    threads = True

    def __init__(self, delivery: Delivery, routing_key: str) -> None:
        self._delivery, self._routing_key = delivery, routing_key

    def send(self, post: Post) -> str:
        if post.event in ACTIONS and (
            not post.reference or (ACTIONS[post.event] == "resolve" and not post.over)
        ):
            return (
                post.reference
            )  # nobody was paged for it, or something that was paged with it is still open
        self._delivery.post({"routing_key": self._routing_key, **event(post)})
        return post.thread


def event(post: Post) -> dict[str, Any]:
    """``post`` as an event, without the routing key."""
    action = ACTIONS.get(post.event, "trigger")
    found: dict[str, Any] = {"event_action": action, "dedup_key": post.reference or post.thread}
    if action != "trigger":
        return found
    first = post.notices[0]
    details: dict[str, Any] = dict(first.pairs) | ({"summary": first.summary} if first.summary else {})
    if len(post.notices) > 1:
        details = {"incidents": post.lines(LISTED_MAX)}
    return {
        **found,
        "client": "data_platform",
        "client_url": post.url,
        "links": [{"href": first.url, "text": "Open in Dagster"}],
        "payload": {
            "summary": clip(post.subject, SUMMARY_CHARACTERS),
            "source": post.environment,
            "severity": "error" if post.severity == "error" else "warning",
            "component": first.name,
            "class": first.kind,
            "custom_details": details,
        },
    }
