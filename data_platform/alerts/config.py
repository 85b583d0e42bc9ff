"""What ``catalog/platform.yaml`` may say under ``alerts``; sending is ``slack.py``'s.

A channel is one model here and one module beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

UI_URL_VARIABLE = "DATA_PLATFORM_UI_URL"
"""Where people reach the UI on this machine, whatever the catalog says: `make dev` sets it to its port."""
URL = r"^https?://[^\s<>|]+$"
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
        pattern=URL,
        description="Where people reach the Dagster UI: the links in messages start with it.",
    )


def ui_address(config: AlertsConfig, environ: Mapping[str, str]) -> str:
    """What links into the UI start with."""
    chosen = environ.get(UI_URL_VARIABLE, "").strip()
    return chosen if re.match(URL, chosen) else config.ui_url
