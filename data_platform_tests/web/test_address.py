"""Where the UI is reached: what the catalog says, unless this machine says otherwise."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from data_platform.alerts.config import AlertsConfig, ui_address
from data_platform.catalog.settings import alerts_of
from data_platform.web.guard import Guard

ROOT = Path(__file__).resolve().parents[2]
CONFIG = AlertsConfig(ui_url="https://dagster.company.example")


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("http://127.0.0.1:3400", "http://127.0.0.1:3400"),
        ("", "https://dagster.company.example"),
        ("no address", "https://dagster.company.example"),
        ("https://a|<b>", "https://dagster.company.example"),
    ],
)
def test_the_variable_wins_where_it_is_an_address(variable: str, address: str) -> None:
    assert ui_address(CONFIG, {"DATA_PLATFORM_UI_URL": variable}) == address
    assert ui_address(CONFIG, {}) == "https://dagster.company.example"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["PORT=3400"], "http://127.0.0.1:3400 false"),
        (["PORT=3400", "READ_ONLY=1"], "http://127.0.0.1:3400 true"),
        (["DATA_PLATFORM_UI_URL=http://laptop:80"], "http://laptop:80 false"),
    ],
)
def test_make_dev_tells_its_own_port(tmp_path: Path, options: list[str], said: str) -> None:
    asking = tmp_path / "asking.mk"
    asking.write_text(
        "include Makefile\ndev:\n\t@echo $$DATA_PLATFORM_UI_URL $$DAGSTER_WEBSERVER_READ_ONLY\n"
    )
    made = [".venv/.installed", "dbt/target/manifest.json", f"{ROOT}/.dagster/dagster.yaml"]
    old = [word for file in made for word in ("-o", file)]
    done = subprocess.run(
        ["make", "-s", "-f", str(asking), *old, "dev", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == said


@pytest.mark.parametrize(
    "wrong",
    ["environments: [", "environments: {prod: 3}", "", None, "environments:\n  prod: {alerts: {ui_url: 1}}"],
)
def test_a_catalog_that_cannot_be_read_leaves_the_usual_address(tmp_path: Path, wrong: str | None) -> None:
    (tmp_path / "catalog").mkdir()
    if wrong is not None:
        (tmp_path / "catalog" / "platform.yaml").write_text(wrong)
    assert alerts_of(tmp_path, "prod") == AlertsConfig()


def test_whatever_else_is_wrong_the_address_is_read(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "platform.yaml").write_text(
        "environments:\n  prod: {landnig: 1, alerts: {ui_url: https://dagster.company.example}}\n"
    )
    assert alerts_of(tmp_path, "prod").ui_url == "https://dagster.company.example"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example:443", "a.example"),
        ("http://a.example:80/x", "a.example"),
        ("http://A.example:8080", "a.example:8080"),
    ],
)
def test_a_usual_port_stands_in_no_host_header(url: str, name: str) -> None:
    async def app(*_: object) -> None: ...

    assert Guard(app, ui_url=url).name == name
