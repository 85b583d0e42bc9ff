"""How the command ends: exit codes, one readable paragraph, .env, and what it does not import."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from data_platform.cli import app as app_module
from data_platform.cli.options import project as open_folder
from data_platform.errors import WarehouseBusy

from .conftest import Result

Cli = Callable[..., Result]
# typer itself imports pydantic once a command has parameters.
HEAVY = (
    "dagster",
    "dagster_dbt",
    "dbt",
    "pandas",
    "pyarrow",
    "duckdb",
    "psycopg",
    "numpy",
    "requests",
)


def imported_after(code: str, cwd: Path, *forbidden: str) -> list[str]:
    """Which of ``forbidden`` a fresh interpreter has imported once ``code`` has run."""
    report = f"\nimport sys; print([m for m in {forbidden!r} if m in sys.modules], file=sys.stderr)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DATA_PLATFORM", "COV"))}
    done = subprocess.run(
        [sys.executable, "-c", code + report],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = done.stderr.strip().splitlines()[-1]
    assert found.startswith("["), done.stderr
    return [name for name in forbidden if repr(name) in found]


@pytest.mark.parametrize("words", [["--help"], ["sync", "--help"], ["sandbox", "up", "--help"], ["nonsense"]])
def test_help_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = f"from data_platform.cli.app import run; run({words!r})"
    assert imported_after(code, tmp_path, *HEAVY, "rich.markdown") == []


def test_validate_imports_neither_an_engine_nor_an_orchestrator(project: Path) -> None:
    code = "from data_platform.cli.app import run; run(['validate'])"
    assert (
        imported_after(code, project, "dagster", "dbt", "pandas", "duckdb", "psycopg", "numpy", "requests")
        == []
    )


def test_sync_imports_neither_dagster_nor_dbt_nor_pandas(project: Path) -> None:
    """It runs up to the connection, which nobody answers."""
    code = (
        "import os; os.environ['CLI_TEST_SHOP_URL'] = 'postgresql://nobody@127.0.0.1:1/shop'\n"
        "from data_platform.cli.app import run; run(['sync', 'shop'])\n"
        "import sys; assert 'data_platform.sync.run' in sys.modules and 'psycopg' in sys.modules"
    )
    assert imported_after(code, project, "dagster", "dagster_dbt", "dbt", "pandas", "numpy", "pyarrow") == []


def test_a_command_imports_no_kind_and_no_command_but_its_own(project: Path) -> None:
    """The project's store is a folder, its warehouse DuckDB, and it sends no message anywhere."""
    others = (
        "summary",
        "status",
        "verify",
        "rebuild",
        "doctor",
        "sandbox",
        "backup",
        "restore",
        "query",
        "catalog",
    )
    code = (
        "import os; os.environ['CLI_TEST_SHOP_URL'] = 'postgresql://nobody@127.0.0.1:1/shop'\n"
        "from data_platform.cli.app import run; run(['sync', 'shop'])\n"
        "import sys; assert 'data_platform.cli.sync' in sys.modules and 'data_platform.sync.run' in sys.modules"
    )
    kinds = (
        "boto3",
        "botocore",
        "google.cloud.storage",  # google.cloud itself is named by a .pth file of one of its packages
        "google.cloud.bigquery",
        "google.auth",
        "requests",
        "urllib3",
        "alembic",
        "sqlalchemy",
    )
    own = tuple(f"data_platform.cli.{name}" for name in others)
    assert (
        imported_after(code, project, *kinds, *own, "data_platform.sandbox", "data_platform.backups.export")
        == []
    )


def test_one_command_alone_is_that_of_the_whole_tree(cli: Cli) -> None:
    whole = typer.main.get_command(app_module.command_tree())
    assert set(whole.commands) == {*app_module.COMMANDS, *app_module.GROUPS}  # type: ignore[attr-defined]
    for name, command in whole.commands.items():  # type: ignore[attr-defined]
        alone = typer.main.get_command(app_module.command_tree(name))
        assert list(alone.commands) == [name]  # type: ignore[attr-defined]
        assert cli(name, "--help").out.startswith(f"Usage: data-platform {name} "), command


def test_usage_errors_end_with_2(cli: Cli, project: Path) -> None:
    for words in (["nonsense"], ["sync", "--nonsense"], ["discover"], ["query"], ["sync", "--slices", "x"]):
        result = cli(*words)
        assert result.code == 2, words
        assert result.out == ""
        assert "Traceback" not in result.err
    assert "sync" in cli("snyc").err, "a near miss is named"


def test_a_typed_error_is_one_paragraph_with_its_code(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise WarehouseBusy("The warehouse is held by [process] 12. Wait for it, then run again.")

    monkeypatch.setattr("data_platform.cli.query.open_project", busy)
    result = cli("query", "select 1")
    assert result.code == 5
    assert result.err == "Error: The warehouse is held by [process] 12. Wait for it, then run again.\n"
    monkeypatch.setenv("DATA_PLATFORM_DEBUG", "1")
    assert "Traceback" in cli("query", "select 1").err


def test_a_typed_error_is_a_document_where_one_was_asked_for(cli: Cli, project: Path) -> None:
    result = cli("status", "--json", "-e", "nowhere")
    assert result.code == 2
    document = json.loads(result.out)
    assert document["ok"] is False
    assert document["error"]["type"] == "ConfigurationError"
    assert document["error"]["exit_code"] == 2
    assert "nowhere" in document["error"]["message"]


def test_an_unforeseen_error_shows_no_values(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ValueError("ada@example.com is not an integer")

    monkeypatch.setattr("data_platform.cli.query.open_project", explode)
    result = cli("query", "select 1")
    assert result.code == 70
    assert "ValueError" in result.err
    assert "ada@" not in result.err + result.out
    assert "DATA_PLATFORM_DEBUG=1" in result.err


def test_an_interruption_ends_with_130(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data_platform.cli.query.open_project", interrupt)
    assert cli("query", "select 1").code == 130


def test_a_folder_that_is_no_project(cli: Cli, project: Path, tmp_path: Path) -> None:
    result = cli("validate", "--root", str(tmp_path / "catalog"))
    assert result.code == 2
    assert "--root" in result.err


def test_dotenv_fills_in_and_never_overrides(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("CLI_TEST_A=file\nCLI_TEST_B=file\n")
    monkeypatch.setenv("CLI_TEST_A", "shell")
    monkeypatch.setenv("CLI_TEST_B", "x")
    monkeypatch.delenv("CLI_TEST_B")
    assert open_folder(project / "catalog" / "..") == project.resolve()
    assert (os.environ["CLI_TEST_A"], os.environ["CLI_TEST_B"]) == ("shell", "file")
    monkeypatch.delenv("CLI_TEST_B")


def test_the_root_option_beats_the_environment(
    cli: Cli, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_PLATFORM_HOME", str(tmp_path / "elsewhere"))
    assert cli("validate", "--write").code == 2
    assert cli("validate", "--write", "--root", str(project)).code == 0


def test_the_entry_point_leaves_with_the_code() -> None:
    from data_platform.cli import main

    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as stopped:
            main(["nonsense"])
        assert stopped.value.code == 2
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, (
            "its work is done: no traceback at the very end"
        )
        assert gc.get_freeze_count() > 0, "its end looks through no objects"
    finally:
        gc.unfreeze()
        signal.signal(signal.SIGINT, handler)
