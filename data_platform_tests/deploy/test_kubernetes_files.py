"""deploy/kubernetes without a cluster: rendered by kubectl, read by Kubernetes's own models, in agreement with itself
and with the Compose file."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.catalog import load_catalog
from data_platform.web.guard import Guard
from data_platform_tests.catalog.documents import write
from data_platform_tests.deploy.cluster import check
from data_platform_tests.deploy.manifests import KUBERNETES, container, objects, render, rendered
from data_platform_tests.deploy.test_files import SERVICES, unexplained

DOCUMENT = (KUBERNETES.parents[1] / "docs" / "deploy-kubernetes.md").read_text()
SETTINGS: dict[str, Any] = yaml.safe_load((KUBERNETES / "dagster.yaml").read_text())
USUAL: dict[str, Any] = yaml.safe_load((KUBERNETES.parent / "dagster.yaml").read_text())


def pods() -> dict[str, dict[str, Any]]:
    return {name: one["spec"]["template"]["spec"] for name, one in objects("Deployment").items()}


def test_kubernetes_knows_every_field() -> None:
    for one in rendered():
        check(one)
    kinds = {one["kind"] for one in rendered()}
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Role"} <= kinds


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"replica": 2}, "replica"),
        ({"template": {"spec": {"containers": [{"name": "a", "readyProbe": {}}]}}}, "readyProbe"),
        ({"selector": None}, "selector"),
    ],
)
def test_a_field_that_is_misspelt_or_missing_is_found(wrong: dict[str, Any], said: str) -> None:
    spec = {**objects("Deployment")["code"]["spec"], **wrong}
    with pytest.raises(Exception, match=said):
        check({**objects("Deployment")["code"], "spec": spec})


def test_every_pod_has_the_image_few_rights_and_limits() -> None:
    images = set()
    for name, pod in pods().items():
        one = container(name)
        images.add(one["image"])
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(one["resources"]) == {"requests", "limits"} and "memory" in one["resources"]["limits"]
        assert {"startupProbe", "livenessProbe"} <= set(one)
    assert len(images) == 1 and set(pods()) == {"code", "daemon", "webserver", "receiver", "wal"}
    (image,) = images
    current = {variable["name"]: variable["value"] for variable in container("code")["env"]}
    assert current["DAGSTER_CURRENT_IMAGE"] == image, "a run gets the code server's image"


def test_they_run_what_compose_runs() -> None:
    for name in ("daemon", "webserver", "receiver", "wal"):
        usual = [
            word.replace("/opt/dagster/workspace", "/opt/workspace/workspace")
            for word in SERVICES[name]["command"]
        ]
        assert container(name)["args"] == usual
    assert "args" not in container("code"), "the image's own"


def test_what_is_named_is_there() -> None:
    secrets = set(re.findall(r"create secret generic (\S+) --from-env-file", DOCUMENT))
    asked = set(SETTINGS["run_launcher"]["config"]["env_secrets"])
    maps = set(SETTINGS["run_launcher"]["config"]["env_config_maps"])
    for name, pod in pods().items():
        assert pod["serviceAccountName"] in objects("ServiceAccount")
        asked |= {
            source["secretRef"]["name"] for source in container(name)["envFrom"] if "secretRef" in source
        }
        maps |= {
            source["configMapRef"]["name"]
            for source in container(name)["envFrom"]
            if "configMapRef" in source
        }
        maps |= {volume["configMap"]["name"] for volume in pod.get("volumes", ())}
    assert asked == secrets, "the page makes every secret, and no other"
    assert maps == set(objects("ConfigMap"))
    assert not objects("Secret"), "none is in a file"
    launcher = SETTINGS["run_launcher"]["config"]
    assert launcher["instance_config_map"] in maps and launcher["service_account_name"] in objects(
        "ServiceAccount"
    )
    assert {one["metadata"]["namespace"] for one in rendered()} == {launcher["job_namespace"]}
    for binding in objects("RoleBinding").values():
        assert binding["roleRef"]["name"] in objects("Role")
        assert all(subject["name"] in objects("ServiceAccount") for subject in binding["subjects"])


def test_services_and_probes_lead_to_ports_that_are_open() -> None:
    for name, service in objects("Service").items():
        assert service["spec"]["selector"] == {"data-platform": name}
        open_ports = {port["name"] for port in container(name)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_ports
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP", "nothing is open to the outside"
    for name in pods():
        numbers = {port["name"]: port["containerPort"] for port in container(name).get("ports", ())}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for way in ("httpGet", "tcpSocket", "grpc"):
                if way in container(name).get(probe, {}):
                    port = container(name)[probe][way]["port"]
                    assert port in numbers or port in numbers.values(), (name, probe)
    (location, watch) = yaml.safe_load(
        objects("ConfigMap")["data-platform-workspace"]["data"]["workspace.yaml"]
    )["load_from"]
    usual = yaml.safe_load((KUBERNETES.parent / "workspace.yaml").read_text())["load_from"]
    assert [location, watch] == usual, "schedules keep their identity when a company moves"
    (served,) = objects("Service")["code"]["spec"]["ports"]
    assert (location["grpc_server"]["host"], location["grpc_server"]["port"]) == ("code", served["port"])


def test_the_guard_lets_the_probes_through_and_no_pods_address() -> None:
    guard = Guard(lambda *_: None, ui_url="https://dagster.company.example")  # type: ignore[arg-type, return-value]

    def refused(host: str) -> bool:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/server_info",
            "query_string": b"",
            "headers": [(b"host", host.encode())],
        }
        return guard.refusal(scope) is not None

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (header,) = container("webserver")[probe]["httpGet"]["httpHeaders"]
        assert header["name"] == "Host" and not refused(header["value"])
    assert refused("10.0.3.17:3000")
    assert not refused("dagster.company.example")


def test_what_may_be_moved_to_another_node() -> None:
    budgets = objects("PodDisruptionBudget")
    for name in ("webserver", "receiver"):
        spec = budgets[name]["spec"]
        assert spec["selector"]["matchLabels"] == {"data-platform": name}
        assert spec["minAvailable"] < objects("Deployment")[name]["spec"]["replicas"], "a node can be drained"
    assert budgets["runs"]["spec"]["selector"]["matchLabels"] == SETTINGS["run_launcher"]["config"]["labels"]
    assert objects("Deployment")["daemon"]["spec"]["strategy"] == {"type": "Recreate"}, "never two"
    assert objects("Deployment")["wal"]["spec"]["strategy"] == {"type": "Recreate"}
    assert [objects("Deployment")[name]["spec"]["replicas"] for name in ("code", "daemon")] == [1, 1]


def test_only_who_needs_secrets_has_them() -> None:
    has = {
        name: {
            source["secretRef"]["name"].removeprefix("data-platform-")
            for source in container(name)["envFrom"]
            if "secretRef" in source
        }
        for name in pods()
    }
    assert has == {
        "code": {"dagster", "keys", "sources", "alerts"},
        "daemon": {"dagster", "alerts"},
        "webserver": {"dagster"},
        "receiver": {"keys", "webhooks"},
        "wal": {"keys", "sources"},
    }
    trusted = {name for name, pod in pods().items() if pod.get("automountServiceAccountToken")}
    assert trusted == {"daemon", "webserver"}
    assert all(pods()[name]["serviceAccountName"] == "data-platform-launcher" for name in trusted)
    assert (
        SETTINGS["run_launcher"]["config"]["run_k8s_config"]["pod_spec_config"][
            "automount_service_account_token"
        ]
        is False
    )
    assert [one["roleRef"]["name"] for one in objects("RoleBinding").values()] == ["data-platform-launcher"]


def test_only_daemon_and_webserver_reach_the_code_server() -> None:
    (rule,) = objects("NetworkPolicy")["code"]["spec"]["ingress"]
    (peer,) = rule["from"]
    (expression,) = peer["podSelector"]["matchExpressions"]
    assert (expression["key"], expression["values"]) == ("data-platform", ["daemon", "webserver"])
    assert "matchLabels" not in peer["podSelector"]
    for name, policy in objects("NetworkPolicy").items():
        labels = policy["spec"]["podSelector"]["matchLabels"]
        assert labels["data-platform"] in {*pods(), "run"}, name


def test_the_settings_are_the_usual_ones_but_for_where_runs_are() -> None:
    assert set(SETTINGS) - set(USUAL) == {"compute_logs"}
    assert {key for key in USUAL if SETTINGS[key] != USUAL[key]} == {
        "run_launcher",
        "concurrency",
        "run_monitoring",
    }
    assert SETTINGS["concurrency"]["pools"] == USUAL["concurrency"]["pools"]
    differ = {
        key for key, value in USUAL["run_monitoring"].items() if SETTINGS["run_monitoring"][key] != value
    }
    assert differ == {"start_timeout_seconds"}
    given = objects("ConfigMap")["data-platform-settings"]["data"]
    read = set(re.findall(r"env: (\w+)", (KUBERNETES / "dagster.yaml").read_text()))
    assert read == {name for name in given if "POSTGRES" in name} | {"DAGSTER_POSTGRES_PASSWORD"}


def test_every_line_of_the_settings_is_explained() -> None:
    assert unexplained((KUBERNETES / "dagster.yaml").read_text()) == []


def in_the_page(language: str, start: str) -> str:
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```", DOCUMENT, re.M | re.S)
    (found,) = [textwrap.dedent(text) for _, text in blocks if start in text]
    return found


def test_an_overlay_of_ones_own_sets_image_and_addresses(tmp_path: Path) -> None:
    """As the page shows it."""
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "kustomization.yaml").write_text(in_the_page("yaml", "deploy/ours"))
    found = render(tmp_path / "ours")
    deployments = [one for one in found if one["kind"] == "Deployment"]
    containers = [c for one in deployments for c in one["spec"]["template"]["spec"]["containers"]]
    image = "registry.company.example/data-platform:2026-12-01"
    assert {one["image"] for one in containers} == {image} and len(containers) == 5
    assert [variable["value"] for one in containers for variable in one.get("env", ())] == [image]
    (settings,) = [one["data"] for one in found if one["metadata"]["name"] == "data-platform-settings"]
    assert settings["DAGSTER_POSTGRES_HOST"] == "postgres.company.example"
    assert settings["DATA_PLATFORM_ENV"] == "kubernetes", "what it does not name stays"


def test_the_page_shows_an_environment_that_the_catalog_takes(tmp_path: Path) -> None:
    shown = in_the_page("yaml", "environments:")
    catalog = load_catalog(write(tmp_path, "  orders: {key: order_id}\n", platform=shown))
    environment = catalog.environment(given_environment())
    assert (environment.runs.where, environment.automation) == ("pods", "running")
    assert environment.runs.sync["shop"].memory


def given_environment() -> str:
    return str(objects("ConfigMap")["data-platform-settings"]["data"]["DATA_PLATFORM_ENV"])


def test_the_environment_of_the_settings_is_not_there_before_somebody_writes_it() -> None:
    """With the catalog as it is, stores are folders: in a pod what lands would be gone with it."""
    assert given_environment() not in load_catalog(KUBERNETES.parents[1]).environments


VALUES: dict[str, Any] = yaml.safe_load((KUBERNETES / "helm-values.yaml").read_text())


def test_the_charts_values_are_the_settings_and_known_to_kubernetes() -> None:
    """The chart itself is not to be had here: what it passes on as it is can be checked all the same."""
    settings = {**SETTINGS, "run_launcher": None, "compute_logs": None, "storage": None, "telemetry": None}
    given = VALUES["additionalInstanceConfig"]
    assert given == {key: value for key, value in settings.items() if value is not None}
    launcher = VALUES["runLauncher"]["config"]["customRunLauncher"]
    usual = SETTINGS["run_launcher"]["config"]
    assert (launcher["module"], launcher["class"]) == (SETTINGS["run_launcher"]["module"], "K8sRunLauncher")
    assert launcher["config"] == usual | {"instance_config_map": "data-platform-dagster-instance"}
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    for name, one in (
        ("code", code),
        ("webserver", VALUES["dagsterWebserver"]),
        ("daemon", VALUES["dagsterDaemon"]),
    ):
        mine = {key: container(name)[key] for key in ("securityContext", "resources")}
        assert {key: one[key] for key in mine} == mine
        assert one["podSecurityContext"] == pods()[name]["securityContext"]
        assert one["labels"] == {"data-platform": name}, "budgets and network policies find it"
        sources = [
            *({"configMapRef": s} for s in one["envConfigMaps"]),
            *({"secretRef": s} for s in one["envSecrets"]),
        ]
        assert sources == container(name)["envFrom"]
    assert VALUES["dagsterWebserver"]["readinessProbe"] == container("webserver")["readinessProbe"] | {
        "httpGet": container("webserver")["readinessProbe"]["httpGet"]
        | {"port": VALUES["dagsterWebserver"]["service"]["port"]}
    }
    assert " ".join(code["dagsterApiGrpcArgs"]) in (KUBERNETES.parent / "Dockerfile").read_text().replace(
        '", "', " "
    )
    assert VALUES["dagsterWebserver"]["workspace"]["externalConfigmap"] in objects("ConfigMap")
