"""The block ``alerts`` of ``catalog/platform.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from data_platform.alerts.kinds import AnyChannel
from data_platform.alerts.slack import SlackConfig
from data_platform.yaml_fields import Model

UI_URL_VARIABLE = "DATA_PLATFORM_UI_URL"
"""Address of the UI on this machine. It overrides the catalog; `make dev` sets it to its own port."""
URL = r"^https?://[^\s<>|]+$"


class AlertsConfig(Model):
    """Where one environment sends its alerts."""

    channels: tuple[AnyChannel, ...] | None = Field(
        default=None,
        description="The channels that each message is sent to. Default: Slack alone. An empty list prints every message.",
    )
    slack: SlackConfig | None = Field(
        default_factory=SlackConfig,
        description="The one channel, if it is Slack: a short form of `channels`; null prints every message instead.",
    )
    ui_url: str = Field(
        default="http://127.0.0.1:3000",
        pattern=URL,
        description="Address of the Dagster UI. Links in messages start with it.",
    )

    @field_validator("channels")
    @classmethod
    def _each_once(cls, channels: tuple[AnyChannel, ...] | None) -> tuple[AnyChannel, ...] | None:
        names = [channel.name for channel in channels or ()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"names the channel `{name}` twice; keep one of the two")
        return channels

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or raw.get("channels") is None:
            return raw
        if "slack" in raw:
            raise ValueError("has both `slack` and `channels`; write Slack as one of `channels`")
        return {**raw, "slack": None}

    @property
    def used(self) -> tuple[AnyChannel, ...]:
        """The channels, whichever form names them."""
        if self.channels is not None:
            return self.channels
        return (self.slack,) if self.slack is not None else ()


def ui_address(config: AlertsConfig, environ: Mapping[str, str]) -> str:
    """The address that links into the UI start with."""
    chosen = environ.get(UI_URL_VARIABLE, "").strip()
    return chosen if re.match(URL, chosen) else config.ui_url
