"""Every variable that a channel of alerts needs can be set in each way to deploy, and is named there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel

from data_platform.alerts.heartbeat import HeartbeatConfig
from data_platform.alerts.kinds import AnyChannel
from data_platform_tests.deploy.manifests import container as pod
from data_platform_tests.deploy.test_ecs import DOCUMENT as ON_ECS
from data_platform_tests.deploy.test_ecs import ECS
from data_platform_tests.deploy.test_ecs import container as task
from data_platform_tests.deploy.test_files import DOCUMENT as BY_COMPOSE
from data_platform_tests.deploy.test_files import EXAMPLE, SERVICES
from data_platform_tests.deploy.test_kubernetes_files import DOCUMENT as ON_KUBERNETES


def _defaults(*models: type[BaseModel]) -> Iterator[str]:
    for model in models:
        for name, one in model.model_fields.items():
            if name.endswith("_env") and isinstance(one.default, str):
                yield one.default


CHANNELS = set(_defaults(*get_args(get_args(AnyChannel)[0])))
HEARTBEAT = set(_defaults(HeartbeatConfig))


def test_the_kinds_say_which_variables_they_need() -> None:
    assert {
        *("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "PAGERDUTY_ROUTING_KEY", "SMTP_URL", "ALERTS_MAIL_TO"),
    } == CHANNELS
    assert {"ALERTS_HEARTBEAT_URL"} == HEARTBEAT


def test_compose_gives_them_to_the_two_services_that_report() -> None:
    environment = SERVICES["daemon"]["environment"]
    assert {name: environment.get(name) for name in CHANNELS} == {name: f"${{{name}:-}}" for name in CHANNELS}
    in_example = {line.partition("=")[0] for line in EXAMPLE.splitlines() if not line.startswith("#")}
    assert in_example >= CHANNELS | HEARTBEAT, "`code` has the whole file"
    assert SERVICES["code"]["env_file"] == [".env"]


@pytest.mark.parametrize(("name", "wanted"), [("code", CHANNELS | HEARTBEAT), ("daemon", CHANNELS)])
def test_ecs_gives_them_to_the_two_tasks_that_report(name: str, wanted: set[str]) -> None:
    place = "secret:data-platform/alerts:"
    named = {one["name"]: one["valueFrom"] for one in task(name)["secrets"] if place in one["valueFrom"]}
    assert set(named) == wanted
    assert all(value.endswith(f"{place}{variable}::") for variable, value in named.items())


def test_the_secret_on_ecs_begins_with_every_key_and_no_value() -> None:
    example = json.loads((ECS / "alerts.example.json").read_text())
    assert set(example) == CHANNELS | HEARTBEAT
    assert not "".join(example.values()).strip() and all(example.values())


@pytest.mark.parametrize("name", ["code", "daemon"])
def test_pods_that_report_have_every_key_of_the_secret(name: str) -> None:
    assert {"secretRef": {"name": "data-platform-alerts", "optional": True}} in pod(name)["envFrom"]


@pytest.mark.parametrize(
    "document", [BY_COMPOSE, ON_ECS, ON_KUBERNETES], ids=["compose", "ecs", "kubernetes"]
)
def test_each_page_names_them(document: str) -> None:
    assert not [name for name in CHANNELS | HEARTBEAT if f"`{name}`" not in document]


def test_a_blank_counts_as_not_set() -> None:
    blank = dict.fromkeys(CHANNELS, " ")
    for model in get_args(get_args(AnyChannel)[0]):
        try:
            config = model()
        except ValueError:  # it has a key without a default
            continue
        assert config.unset(blank) in CHANNELS
