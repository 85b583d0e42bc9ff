"""What ``catalog/platform.yaml`` may say under ``alerts``; sending is ``slack.py``'s.

A channel is one model here and one module beside this one.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class SlackConfig(BaseModel):
    """A Slack incoming webhook. Its URL is a secret, so only the variable's name stands here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_env: str = Field(
        default="SLACK_WEBHOOK_URL",
        pattern=ENVIRONMENT_NAME,
        description="Environment variable that holds the webhook URL, read when a message is sent."
        " While it is empty, messages are printed instead.",
    )


class AlertsConfig(BaseModel):
    """Where the alerts of one environment go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slack: SlackConfig | None = Field(
        default_factory=SlackConfig, description="The Slack channel; null prints every message instead."
    )
    ui_url: str = Field(
        default="http://127.0.0.1:3000",
        pattern=r"^https?://[^\s<>|]+$",
        description="Where people reach the Dagster UI: the links in messages start with it.",
    )
