"""Every kind of alert channel ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data_platform.alerts.email import EmailConfig
from data_platform.alerts.pagerduty import PagerDutyConfig
from data_platform.alerts.slack import SlackConfig
from data_platform.alerts.slack_bot import SlackBotConfig
from data_platform.alerts.webhook import WebhookConfig

AnyChannel = Annotated[
    SlackConfig | SlackBotConfig | EmailConfig | PagerDutyConfig | WebhookConfig, Field(discriminator="kind")
]
"""Join the next kind with `|`; its `kind` tells them apart."""
