"""docs/cli.md and the program say the same: every command, option and exit code, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer

from data_platform import errors
from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.heartbeat import HeartbeatConfig
from data_platform.alerts.kinds import AnyChannel
from data_platform.alerts.problem import Kind
from data_platform.alerts.routing import Route
from data_platform.cli.app import DEFECT_EXIT_CODE, command_tree

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "cli.md").read_text(encoding="utf-8")
SHARED = {"--help", "-h"}


def commands(command: Any = None, path: str = "data-platform") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words that call it."""
    command = command or typer.main.get_command(command_tree())
    if getattr(command, "commands", None):
        for name, child in command.commands.items():
            yield from commands(child, f"{path} {name}")
    else:
        yield path, command


def sections() -> dict[str, str]:
    """Command to the text under its heading."""
    found = {}
    for match in re.finditer(r"^#{2,3} `(data-platform [^`]*)`\n(.*?)(?=^#{2,3} |\Z)", TEXT, re.M | re.S):
        words = re.sub(r"\s*\[?SOURCE.*|\s+SQL$", "", match[1])
        found[words.strip()] = match[2]
    return found


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")} - SHARED


def documented(text: str) -> set[str]:
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|") or "(`--" in line)
    return set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", rows)) - SHARED


def test_no_page_holds_both_sides_of_a_merge() -> None:
    for path in [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]:
        assert not re.search(r"^(<{7}|={7}|>{7})( |$)", path.read_text(encoding="utf-8"), re.M), path.name


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    names = (
        "audit",
        "sandbox",
        "backup",
        "keystore",
        "restore",
        "retention",
        "contract",
        "quarantine",
        "alerts",
        "anomaly",
        "recover",
        "subject",
        "wal",
        "privacy",
    )
    groups = {f"data-platform {name}" for name in names}
    assert set(sections()) - groups == {path for path, _ in commands()}


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    for path, command in commands():
        long_ones = {name for name in options(command) if name.startswith("--")}
        written = {name for name in documented(sections()[path]) if name.startswith("--")}
        assert written == long_ones, path
    short_ones = {name for _, command in commands() for name in options(command) if not name.startswith("--")}
    assert all(re.search(rf"`{name} ", TEXT) for name in short_ones)


def test_every_option_and_command_explains_itself() -> None:
    for path, command in commands():
        assert command.help, path
        for parameter in command.params:
            if parameter.opts[0].startswith("-"):
                assert getattr(parameter, "help", None), f"{path} {parameter.opts}"


def test_every_exit_code_is_documented_and_has_a_meaning() -> None:
    table = TEXT.partition("## Exit codes")[2].partition("\n## ")[0]
    written = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)}
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DataPlatformError)
    }
    assert written == raised | {0, DEFECT_EXIT_CODE, 130}


def test_every_key_of_alerts_is_documented() -> None:
    text = (DOCS / "alerts.md").read_text(encoding="utf-8")
    keys = {f"alerts.{name}" for name in AlertsConfig.model_fields}
    assert set(re.findall(r"^\| `(alerts\.\w+)` \|", text, re.M)) == keys
    routes = text.partition("### Routes")[2].partition("| kind |")[0]
    written = {field.alias or name for name, field in Route.model_fields.items()}
    assert set(re.findall(r"^\| `(\w+)` \|", routes, re.M)) == written
    assert set(re.findall(r"^\| `(heartbeat\.\w+)` \|", text, re.M)) == {
        f"heartbeat.{name}" for name in HeartbeatConfig.model_fields
    }


def test_every_kind_of_channel_and_of_problem_is_documented() -> None:
    text = (DOCS / "alerts.md").read_text(encoding="utf-8")
    table = text.partition("### Kinds of channel")[2].partition("\n\n-")[0]
    written: dict[str, set[str]] = {}
    for kind, keys in re.findall(r"^\| (?:`(\w+)`)? ?\| ((?:`\w+`(?:, )?)+) \|", table, re.M):
        last = kind or list(written)[-1]
        written.setdefault(last, set()).update(re.findall(r"`(\w+)`", keys))
    configs = get_args(get_args(AnyChannel)[0])
    assert written == {
        config.model_fields["kind"].annotation.__args__[0]: {
            field.alias or name for name, field in config.model_fields.items() if name != "kind"
        }
        for config in configs
    }
    problems = text.partition("| kind | a problem is |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", problems, re.M)))) == set(
        get_args(Kind)
    )
