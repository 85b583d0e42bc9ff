"""The block ``alerts`` of ``catalog/platform.yaml``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from data_platform.alerts.channels import PRINT
from data_platform.alerts.heartbeat import HeartbeatConfig
from data_platform.alerts.kinds import AnyChannel
from data_platform.alerts.routing import Route
from data_platform.alerts.slack import SlackConfig
from data_platform.yaml_fields import Frozen, Model

UI_URL_VARIABLE = "DATA_PLATFORM_UI_URL"
"""Address of the UI on this machine. It overrides the catalog; `make dev` sets it to its own port."""
URL = r"^https?://[^\s<>|]+$"
ChannelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]


class AlertsConfig(Model):
    """Where one environment sends its alerts."""

    channels: Annotated[Mapping[ChannelName, AnyChannel], Frozen] = Field(
        default_factory=dict,
        description="The channels, by a name of yours. An empty block prints every message.",
    )
    routes: tuple[Route, ...] = Field(
        default=(),
        description="Which problems go to which channels. The first route that holds counts. Without any, everything goes to"
        " every channel.",
    )
    fallback: tuple[str, ...] = Field(
        default=(),
        description="The channels that report what another one refuses, cannot deliver, or has no variable for.",
    )
    heartbeat: HeartbeatConfig = Field(
        default_factory=HeartbeatConfig,
        description="A regular sign of life to a service that alarms when it stays away.",
    )
    slack: SlackConfig | None = Field(
        default=None,
        description="The one channel, if it is Slack: a short form of `channels`; null prints every message instead.",
    )
    ui_url: str = Field(
        default="http://127.0.0.1:3000",
        pattern=URL,
        description="Address of the Dagster UI. Links in messages start with it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        if "slack" in raw and "channels" in raw:
            raise ValueError("has both `slack` and `channels`; write Slack as one of `channels`")
        if isinstance(raw.get("channels"), list | tuple):
            raw = {**raw, "channels": _by_name(raw["channels"])}
        if "slack" not in raw and "channels" not in raw:
            raw = {**DEFAULTS, **raw}
        return raw

    @model_validator(mode="after")
    def _names_that_exist(self) -> AlertsConfig:
        known = self.used
        if PRINT in known:
            raise ValueError(
                f"`channels` has a channel named `{PRINT}`, which is the platform's own; choose another name"
            )
        for name, channel in known.items():
            same = next(one for one, other in known.items() if other == channel)
            if same != name:
                raise ValueError(f"the channels `{same}` and `{name}` are the same; keep one of the two")
        named = {"fallback": self.fallback}
        named |= {f"routes[{number}]": route.names for number, route in enumerate(self.routes)}
        for place, names in named.items():
            for name in names:
                if name not in known:
                    there = ", ".join(f"`{one}`" for one in known) or "none"
                    raise ValueError(
                        f"`{place}` names the channel `{name}`, which is not there; there are: {there}"
                    )
        return self

    @property
    def used(self) -> Mapping[str, AnyChannel]:
        """The channels, whichever form names them."""
        return {"slack": self.slack} if self.slack is not None else self.channels


DEFAULTS: dict[str, Any] = {
    "channels": {"slack": {"kind": "slack"}, "mail": {"kind": "email"}, "pager": {"kind": "pagerduty"}},
    "fallback": ["slack"],
    "routes": [
        {"kinds": ["run", "schema", "location"], "severity": "error", "to": ["pager"]},
        {"kinds": ["freshness"], "to": ["mail"]},
        {"to": ["slack"]},
    ],
}
"""Of an environment that names no channel: a failed pipeline pages the person on call, old data mails the team, and everything
else, such as a share of nulls above its limit, goes to Slack."""


def _by_name(listed: Any) -> Any:
    """A list of channels, as earlier versions had it, by names made of their kinds: `slack`, `webhook`, `webhook-2`."""
    seen: Counter[str] = Counter()
    found = {}
    for channel in listed:
        kind = str(channel.get("kind") if isinstance(channel, dict) else getattr(channel, "kind", "channel"))
        seen[kind] += 1
        found[kind if seen[kind] == 1 else f"{kind}-{seen[kind]}"] = channel
    return found


def ui_address(config: AlertsConfig, environ: Mapping[str, str]) -> str:
    """The address that links into the UI start with."""
    chosen = environ.get(UI_URL_VARIABLE, "").strip()
    return chosen if re.match(URL, chosen) else config.ui_url
