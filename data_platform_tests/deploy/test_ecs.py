"""deploy/ecs without an account: the API's own description checks each task definition, and moto, an emulator, takes
the runs that the launcher starts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import yaml
from botocore.exceptions import ParamValidationError
from dagster._core.definitions.reconstruct import ModuleCodePointer
from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from moto import mock_aws

from data_platform.defs.task_launcher import TaskRunLauncher
from data_platform_tests.deploy.test_files import SERVICES, unexplained
from data_platform_tests.deploy.test_kubernetes_files import SETTINGS as ON_KUBERNETES

ECS = Path(__file__).resolve().parents[2] / "deploy" / "ecs"
DOCUMENT = (ECS.parents[1] / "docs" / "deploy-ecs.md").read_text()
SETTINGS: dict[str, Any] = yaml.safe_load((ECS / "dagster.yaml").read_text())
NAMES = ("code", "daemon", "webserver", "receiver", "wal", "run")


def definition(name: str) -> dict[str, Any]:
    """As it is registered, with the words that stand for yours filled in."""
    text = (
        (ECS / f"{name}.json")
        .read_text()
        .replace("ACCOUNT", "123456789012")
        .replace("REGION", "eu-central-1")
    )
    return dict(json.loads(text))


def container(name: str) -> dict[str, Any]:
    (one,) = definition(name)["containerDefinitions"]
    return dict(one)


def register_run(cloud: Any) -> None:
    """moto adds up what containers reserve, and fails where one reserves nothing, as on Fargate."""
    run = definition("run")
    run["containerDefinitions"][0]["memoryReservation"] = 512
    cloud.register_task_definition(**run)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("ecs")
        client.create_cluster(clusterName="data-platform")
        yield client


@pytest.mark.slow
def test_the_api_takes_every_task_definition(cloud: Any) -> None:
    for name in NAMES:
        answer = cloud.register_task_definition(**definition(name))
        assert answer["taskDefinition"]["family"] == f"data-platform-{name}"
    wrong = definition("code")
    wrong["containerDefinitions"][0]["helthCheck"] = {}
    with pytest.raises(ParamValidationError, match="helthCheck"):
        cloud.register_task_definition(**wrong)


def test_they_run_what_compose_runs() -> None:
    for name in ("daemon", "webserver", "receiver", "wal"):
        usual = [word.replace("/opt/dagster/", "/opt/dagster-ecs/") for word in SERVICES[name]["command"]]
        assert container(name)["command"] == usual
    assert "command" not in container("code") and "command" not in container("run")
    assert len({container(name)["image"] for name in NAMES}) == 1


def test_only_who_needs_secrets_has_them_and_none_is_in_a_file() -> None:
    has = {
        name: {
            re.findall(r"secret:data-platform/(\w+):", one["valueFrom"])[0]
            for one in container(name)["secrets"]
        }
        for name in NAMES
    }
    assert has == {
        "code": {"dagster", "keys", "sources", "alerts"},
        "daemon": {"dagster", "alerts"},
        "webserver": {"dagster"},
        "receiver": {"keys", "webhooks"},
        "wal": {"keys", "sources"},
        "run": {"dagster", "keys", "sources"},
    }
    named = {variable["name"] for name in NAMES for variable in container(name)["environment"]}
    assert not [name for name in named if re.search("PASSWORD|KEY|SECRET|TOKEN", name)]
    assert set(re.findall(r"create-secret --name data-platform/(\w+)", DOCUMENT)) == set().union(
        *has.values()
    )
    roles = {name: definition(name)["taskRoleArn"].rpartition("/")[2] for name in NAMES}
    assert {name for name, role in roles.items() if role == "data-platform-launcher"} == {
        "daemon",
        "webserver",
    }


def test_the_settings_are_those_of_kubernetes_but_for_the_launcher() -> None:
    differ = {key for key in ON_KUBERNETES if SETTINGS[key] != ON_KUBERNETES[key]}
    assert differ == {"run_launcher"} and set(SETTINGS) == set(ON_KUBERNETES)
    assert unexplained((ECS / "dagster.yaml").read_text()) == []
    usual = yaml.safe_load((ECS.parent / "workspace.yaml").read_text())["load_from"]
    location, watch = yaml.safe_load((ECS / "workspace.yaml").read_text())["load_from"]
    assert watch == usual[1] and location["grpc_server"] == usual[0]["grpc_server"] | {
        "host": "code.data-platform"
    }
    assert container("code")["portMappings"][0]["containerPort"] == location["grpc_server"]["port"]


def test_what_the_launcher_may_is_what_it_does() -> None:
    statements = json.loads((ECS / "launcher-policy.json").read_text())["Statement"]
    assert {action for one in statements for action in one["Action"]} == {
        "ecs:RunTask", "ecs:DescribeTasks", "ecs:StopTask", "ecs:DescribeTaskDefinition", "ecs:TagResource",
        "iam:PassRole", "logs:GetLogEvents",
    }  # fmt: skip


class Launched:
    """A run in an instance of its own, and what ECS was told."""

    def __init__(self, cloud: Any, instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
        config = SETTINGS["run_launcher"]["config"]
        vpc = config["run_task_kwargs"]["networkConfiguration"]["awsvpcConfiguration"]
        network = boto3.client("ec2")
        subnets = network.describe_subnets()["Subnets"]
        vpc |= {"subnets": [subnets[0]["SubnetId"]]}
        vpc |= {"securityGroups": [network.describe_security_groups()["SecurityGroups"][0]["GroupId"]]}
        self.cloud, self.instance = cloud, instance
        self.launcher = TaskRunLauncher.from_config_value(None, config)  # type: ignore[arg-type]
        self.launcher.register_instance(instance)
        pointer = ModuleCodePointer(
            "data_platform.definitions", "defs", working_directory="/opt/data-platform"
        )
        origin = JobPythonOrigin(
            "shop_changes", RepositoryPythonOrigin("/venv/bin/python", pointer, "image:1")
        )
        location = RegisteredCodeLocationOrigin("data_platform")
        remote = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "shop_changes")
        run = dg.DagsterRun("shop_changes", tags=tags, job_code_origin=origin, remote_job_origin=remote)
        self.run_id = instance.run_storage.add_run(run).run_id
        self.launcher.launch_run(LaunchRunContext(dagster_run=self.run, workspace=None))

    @property
    def run(self) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(self.run_id)
        assert run is not None
        return run

    def task(self) -> Any:
        arn = self.run.tags["ecs/task_arn"]
        (task,) = self.cloud.describe_tasks(cluster="data-platform", tasks=[arn])["tasks"]
        return task


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.mark.slow
def test_a_run_is_a_task_with_its_cores_and_memory(cloud: Any, instance: dg.DagsterInstance) -> None:
    register_run(cloud)
    launched = Launched(cloud, instance, {"ecs/cpu": "2048", "ecs/memory": "8192"})
    task = launched.task()
    overrides = task["overrides"]
    assert (overrides["cpu"], overrides["memory"]) == ("2048", "8192")
    (one,) = overrides["containerOverrides"]
    assert one["name"] == "run" and one["command"][1:5] == ["-m", "dagster", "api", "execute_run"]
    assert task["taskDefinitionArn"].endswith("task-definition/data-platform-run:1")
    status = launched.launcher.check_run_worker_health(launched.run).status
    assert status == WorkerStatus.RUNNING
    assert launched.launcher.terminate(launched.run_id)


@pytest.mark.slow
@pytest.mark.parametrize(
    "tag", ["container_overrides", "task_overrides", "run_task_kwargs", "ephemeral_storage"]
)
def test_whoever_launches_a_run_chooses_no_command_role_or_variable(
    cloud: Any, instance: dg.DagsterInstance, tag: str
) -> None:
    register_run(cloud)
    with pytest.raises(DagsterLaunchFailedError, match=f"would change what is executed: ecs/{tag}"):
        Launched(cloud, instance, {f"ecs/{tag}": "{}"})
    assert cloud.list_tasks(cluster="data-platform")["taskArns"] == []


@pytest.mark.slow
def test_a_run_never_ends_the_task_of_another(cloud: Any, instance: dg.DagsterInstance) -> None:
    """A retry has the tags of the run before, and anybody may write them at the launchpad."""
    register_run(cloud)
    first = Launched(cloud, instance, {})
    named = {tag: first.run.tags[tag] for tag in ("ecs/task_arn", "ecs/cluster")}
    second = Launched(cloud, instance, named)
    assert second.task()["taskArn"] != first.task()["taskArn"]


@pytest.mark.slow
def test_ending_a_run_before_its_task_is_known_ends_none(
    cloud: Any, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_run(cloud)
    first = Launched(cloud, instance, {})
    named = {tag: first.run.tags[tag] for tag in ("ecs/task_arn", "ecs/cluster")}
    seen: list[Any] = []

    def slow(launcher: TaskRunLauncher, **asked: Any) -> Any:
        run_id = next(tag["value"] for tag in asked["tags"] if tag["key"] == "dagster/run_id")
        seen.append(launcher.terminate(run_id))
        raise InterruptedError

    monkeypatch.setattr(TaskRunLauncher, "_run_task", slow)
    with pytest.raises(InterruptedError):
        Launched(cloud, instance, named)
    assert seen == [False] and first.task()["lastStatus"] != "STOPPED"
