"""Which variables dbt's process is given."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from data_platform.dbt_sources import MARK
from data_platform.defs.dbt_environment import passed_on
from data_platform.defs.dbt_run import DbtCli

PROFILES = "data_platform: {target: local, outputs: {local: {password: \"{{ env_var('OF_THE_PROFILE') }}\"}}}"
SECRETS = {
    "SHOP_DATABASE_URL": "postgresql://u:secret@h/d",
    "DATA_PLATFORM_HASH_KEY": "secret",
    "SLACK_WEBHOOK_URL": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text("name: data_platform\nprofile: data_platform\n")
    (tmp_path / "profiles.yml").write_text(PROFILES)
    (tmp_path / "models" / "a.sql").write_text('select \'{{ env_var("OF_A_MODEL", "x") }}\'')
    # what `validate --write` makes of a comment at the source
    (tmp_path / "models" / "_s__sources.yml").write_text(f"{MARK}\n# env_var('SHOP_DATABASE_URL')\n")
    return tmp_path


def test_dbts_process_has_no_secret_that_the_project_does_not_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = project / "program"
    program.write_text(
        "#!/usr/bin/env python3\nimport json, os\n"
        f"open({str(project / 'environment.json')!r}, 'w').write(json.dumps(dict(os.environ)))\n"
    )
    program.chmod(0o755)
    named = {"OF_THE_PROFILE": "1", "OF_A_MODEL": "2", "DBT_ENV_SECRET_TOKEN": "3", "https_proxy": "http://p"}
    for name, value in {**SECRETS, **named}.items():
        monkeypatch.setenv(name, value)
    dbt = DbtCli(project_dir=str(project), profiles_dir=str(project), dbt_executable=str(program))
    dbt.cli(["build"], target_path=Path("target"), variables={"OF_THE_WAREHOUSE": "4"}).wait()
    given = json.loads((project / "environment.json").read_text())
    assert not SECRETS.keys() & given.keys()
    assert {**named, "OF_THE_WAREHOUSE": "4"}.items() <= given.items()
    assert "OF_THE_WAREHOUSE" not in os.environ
    assert given["DBT_PROFILES_DIR"] == str(project)
    assert SECRETS.items() <= dict(os.environ).items()


def test_a_generated_file_names_no_variable(project: Path) -> None:
    files = sorted((project / "models").iterdir())
    assert passed_on(files, {**SECRETS, "OF_A_MODEL": "1", "PATH": "/bin"}) == {
        "OF_A_MODEL": "1",
        "PATH": "/bin",
    }
