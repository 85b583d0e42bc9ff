"""Runs as deploy/kubernetes starts them: the real code server and launcher with the settings of the folder, records in
PostgreSQL, and a stand-in for Kubernetes that runs each pod as a process."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import WorkerStatus
from dagster_k8s import K8sRunLauncher

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.conftest import SHOP_ORDERS
from data_platform_tests.deploy.cluster import Cluster, serving
from data_platform_tests.deploy.manifests import container, rendered
from data_platform_tests.deploy.production import (
    DEPLOY,
    Production,
    free_port,
    instance_variables,
    wait,
    write_project,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
IMAGE = str(container("code")["image"])


@dataclass(frozen=True)
class Deployed:
    production: Production
    cluster: Cluster

    def launch(self, **tags: str) -> tuple[str, str]:
        """A run as the daemon starts it, and the name of its pod."""
        run_id = self.production.launch("shop_changes", **tags)
        self.production.instance.launch_run(run_id, self.production.workspace())
        return run_id, f"dagster-run-{run_id}"

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.production.instance.get_run_by_id(run_id)
        assert found is not None
        return found


def image_variables(root: Path) -> dict[str, str]:
    """What the Dockerfile sets, with folders of the test's."""
    text = (DEPLOY / "Dockerfile").read_text().rpartition("FROM ")[2]
    block = re.findall(r"^ENV ((?:.*\\\n)*.*)$", text, re.M)[0].replace("\\\n", " ")
    found = dict(word.split("=", 1) for word in block.split())
    found |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DATA_PLATFORM_HOME": str(root)}
    return found


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, shop: str, manifest: Path
) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("kubernetes")
    instance = instance_variables(postgres.create_database("dagster_kubernetes"))
    port, root, home = free_port(), write_project(folder / "project", folder / "data"), folder / "dagster"
    home.mkdir()
    (folder / "pods").mkdir()

    objects = [json.loads(json.dumps(one)) for one in rendered()]
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    settings = yaml.safe_load(maps["data-platform-dagster"]["dagster.yaml"])
    launcher = settings["run_launcher"]["config"]
    launcher |= {"load_incluster_config": False, "kubeconfig_file": str(folder / "pods" / "kubeconfig")}
    launcher |= {"dagster_home": str(home)}
    maps["data-platform-dagster"]["dagster.yaml"] = yaml.safe_dump(settings)
    # local folders stand for the bucket: all pods of the test are on one machine
    maps["data-platform-settings"] |= {"DATA_PLATFORM_ENV": "prod"} | {
        name: value for name, value in instance.items() if name in maps["data-platform-settings"]
    }
    secrets = {
        "data-platform-dagster": {"DAGSTER_POSTGRES_PASSWORD": instance["DAGSTER_POSTGRES_PASSWORD"]},
        "data-platform-keys": {
            "DATA_PLATFORM_HASH_KEY": "a test's key, long enough to be taken",
            "DATA_PLATFORM_LEDGER_KEY": "another key of a test, long enough to be taken",
        },
        "data-platform-sources": {"SHOP_DATABASE_URL": shop},
    }
    (home / "dagster.yaml").write_text(maps["data-platform-dagster"]["dagster.yaml"])
    workspace = yaml.safe_load(maps["data-platform-workspace"]["workspace.yaml"])
    del workspace["load_from"][1:]
    workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": port}
    (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))

    image = image_variables(root)
    cluster = Cluster(objects, secrets, image, folder / "pods")
    environ = (
        image | maps["data-platform-settings"] | {"DAGSTER_HOME": str(home), "DAGSTER_CURRENT_IMAGE": IMAGE}
    )
    for one in secrets.values():
        environ |= one
    with pytest.MonkeyPatch.context() as patch, serving(cluster):
        for name, value in instance.items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", str(home))
        production = Production(folder, root, home, port, environ)
        try:
            production.start_code(root)
            yield Deployed(production, cluster)
        finally:
            production.stop()
            postgres.drop_database("dagster_kubernetes")


def test_a_run_is_a_job_that_kubernetes_takes_and_that_syncs(deployed: Deployed) -> None:
    launcher = deployed.production.instance.run_launcher
    assert isinstance(launcher, K8sRunLauncher)
    run_id, pod = deployed.launch()
    deployed.cluster.pods[pod].wait(240)
    run = deployed.run(run_id)
    assert run.status == dg.DagsterRunStatus.SUCCESS, deployed.cluster.log(pod)
    assert deployed.production.rows("SELECT count(*) FROM raw_shop.orders") == [(SHOP_ORDERS,)]
    assert run.tags["dagster/image"] == IMAGE

    spec: dict[str, Any] = deployed.cluster.jobs[pod]["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (0, 86400)
    (one,) = spec["template"]["spec"]["containers"]
    assert one["image"] == IMAGE
    assert one["resources"] == {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert one["securityContext"]["allowPrivilegeEscalation"] is False
    assert spec["template"]["spec"]["automountServiceAccountToken"] is False
    assert spec["template"]["metadata"]["labels"]["data-platform"] == "run"
    secrets = [source["secretRef"]["name"] for source in one["envFrom"] if "secretRef" in source]
    assert "data-platform-sources" in secrets and "data-platform-webhooks" not in secrets


def test_a_run_whose_pod_is_gone_is_noticed(deployed: Deployed) -> None:
    run_id, pod = deployed.launch()
    launcher = deployed.production.instance.run_launcher
    assert launcher.check_run_worker_health(deployed.run(run_id)).status == WorkerStatus.RUNNING
    deployed.cluster.kill(pod)
    assert launcher.check_run_worker_health(deployed.run(run_id)).status == WorkerStatus.FAILED
    del deployed.cluster.jobs[pod]  # a node that took the job's record with it
    assert launcher.check_run_worker_health(deployed.run(run_id)).status in (
        WorkerStatus.UNKNOWN,
        WorkerStatus.NOT_FOUND,
    )


def test_a_run_that_is_ended_in_the_ui_ends_its_pod(deployed: Deployed) -> None:
    run_id, pod = deployed.launch()
    wait(lambda: deployed.run(run_id).status == dg.DagsterRunStatus.STARTED, "the run to start")
    assert deployed.production.instance.run_launcher.terminate(run_id)
    deployed.cluster.pods[pod].wait(120)
    assert deployed.run(run_id).status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"container_config": {"image": "evil.example/image"}}, "container_config.image"),
        ({"container_config": {"command": ["sh"]}}, "container_config.command"),
        (
            {"container_config": {"env_from": [{"secret_ref": {"name": "data-platform-webhooks"}}]}},
            "container_config.env_from",
        ),
        (
            {"pod_spec_config": {"service_account_name": "data-platform-launcher"}},
            "pod_spec_config.service_account_name",
        ),
        ({"pod_spec_config": {"volumes": []}}, "pod_spec_config.volumes"),
        ({"job_metadata": {"namespace": "kube-system"}}, "job_metadata.namespace"),
    ],
)
def test_whoever_launches_a_run_chooses_no_image_command_volume_or_secret(
    deployed: Deployed, asked: dict[str, Any], field: str
) -> None:
    """The tag `dagster-k8s/config` may be set at the launchpad, by everybody who reaches the UI."""
    launcher = deployed.production.instance.run_launcher
    assert isinstance(launcher, K8sRunLauncher)
    run = dg.DagsterRun("shop_changes", tags={"dagster-k8s/config": json.dumps(asked)})
    with pytest.raises(Exception, match=rf"violated the allowed list: {re.escape(field)}"):
        launcher.get_container_context_for_run(run)


def test_it_may_choose_memory(deployed: Deployed) -> None:
    launcher = deployed.production.instance.run_launcher
    assert isinstance(launcher, K8sRunLauncher)
    asked = {"container_config": {"resources": {"requests": {"memory": "8Gi"}, "limits": {"memory": "8Gi"}}}}
    run = dg.DagsterRun("shop_changes", tags={"dagster-k8s/config": json.dumps(asked)})
    found = launcher.get_container_context_for_run(run).run_k8s_config.container_config["resources"]
    assert found == {"requests": {"cpu": "250m", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}
