"""The block ``alerts`` of ``catalog/platform.yaml``. Each channel has a model here and a module that sends."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from data_platform.yaml_fields import VARIABLE

UI_URL_VARIABLE = "DATA_PLATFORM_UI_URL"
"""Address of the UI on this machine. It overrides the catalog; `make dev` sets it to its own port."""
URL = r"^https?://[^\s<>|]+$"


class SlackConfig(BaseModel):
    """A Slack incoming webhook. Its URL is a secret, so the catalog holds only the variable's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_env: str = Field(
        default="SLACK_WEBHOOK_URL",
        pattern=VARIABLE,
        description="Environment variable that holds the webhook URL, read when a message is sent."
        " If it is not set, messages are printed instead.",
    )


class AlertsConfig(BaseModel):
    """Where one environment sends its alerts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slack: SlackConfig | None = Field(
        default_factory=SlackConfig, description="The Slack channel; null prints every message instead."
    )
    ui_url: str = Field(
        default="http://127.0.0.1:3000",
        pattern=URL,
        description="Address of the Dagster UI. Links in messages start with it.",
    )


def ui_address(config: AlertsConfig, environ: Mapping[str, str]) -> str:
    """The address that links into the UI start with."""
    chosen = environ.get(UI_URL_VARIABLE, "").strip()
    return chosen if re.match(URL, chosen) else config.ui_url
