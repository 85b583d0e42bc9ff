"""An optional source is there while a variable of it is set, or something of it has landed; what is left out is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.cli.app import run
from data_platform.defs.loaded import present
from data_platform.errors import CatalogError, ConfigurationError, LandingError
from data_platform.stores import Store
from data_platform.sync import configured, open_platform

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
FILES = """\
source: office
kind: files
optional: true
connection: {path_env: OFFICE_FILES, settle_seconds: 0}
tables:
  prices: {files: prices.csv, types: {price: bigint}}
"""
DESK = """\
source: desk
kind: zendesk
optional: true
connection: {url_env: DESK_URL, email_env: DESK_EMAIL, api_token_env: DESK_TOKEN}
tables:
  tickets: {key: id}
"""
SENTENCE = "desk is not configured, so it is left out: none of DESK_URL, DESK_EMAIL, DESK_TOKEN is set."


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which only ``office`` is configured."""
    folder = tmp_path / "project" / "catalog" / "sources"
    folder.mkdir(parents=True)
    (folder.parent / "platform.yaml").write_text(PLATFORM)
    (folder / "office.yaml").write_text(FILES)
    (folder / "desk.yaml").write_text(DESK)
    (tmp_path / "prices.csv").write_text("item,price\ntea,3\n")
    for name in ("DESK_URL", "DESK_EMAIL", "DESK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OFFICE_FILES", str(tmp_path))
    return folder.parents[1]


def sources(root: Path) -> list[str]:
    return list(open_platform(root).catalog.sources)


def test_without_any_variable_a_source_is_not_there(root: Path) -> None:
    assert sources(root) == ["office"]
    assert list(present(root, "local").sources) == ["office"], "nor is it in the graph"
    with pytest.raises(ConfigurationError, match=r"'desk' is not configured.* Put DESK_URL, DESK_EMAIL"):
        open_platform(root).catalog.source("desk")


@pytest.mark.parametrize(("value", "there"), [("https://desk.example", True), ("", False), ("  ", False)])
def test_one_variable_is_enough_to_be_there(
    root: Path, monkeypatch: pytest.MonkeyPatch, value: str, there: bool
) -> None:
    monkeypatch.setenv("DESK_URL", value)
    assert ("desk" in sources(root)) is there


def test_a_variable_may_stand_in_the_projects_env_file(root: Path) -> None:
    (root / ".env").write_text("DESK_EMAIL=who@asks.example\n")
    assert "desk" in present(root, "local").sources


def test_every_command_that_shows_sources_names_what_is_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["sync"], ["status"], ["validate", "--connect"]):
        assert run([*command, "--root", str(root)]) == 0
        captured = capsys.readouterr()
        assert SENTENCE in " ".join((captured.out + captured.err).split()), command
    run(["doctor", "--json", "--root", str(root)])
    findings = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert (findings["not configured"]["state"], findings["not configured"]["found"]) == ("ok", SENTENCE)
    run(["status", "--json", "--root", str(root)])
    assert json.loads(capsys.readouterr().out)["not_configured"] == ["desk"]
    assert run(["sync", "desk", "--root", str(root)]) == 2
    assert "'desk' is not configured" in capsys.readouterr().err


def test_a_source_that_has_landed_and_lost_its_variable_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sync", "--root", str(root)]) == 0
    monkeypatch.delenv("OFFICE_FILES")
    assert sources(root) == ["office"]
    assert "office" in present(root, "local").sources
    capsys.readouterr()
    assert run(["sync", "office", "--root", str(root)]) != 0
    assert "OFFICE_FILES is not set" in " ".join(capsys.readouterr().err.split())


def test_a_source_that_only_failed_may_be_given_up(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed first sync leaves a note in the landing store, and no batch."""
    monkeypatch.setenv("OFFICE_FILES", str(root / "nowhere"))
    assert run(["sync", "office", "--root", str(root)]) != 0
    assert list((root / "landing" / "office").rglob("*.json"))
    monkeypatch.delenv("OFFICE_FILES")
    assert sources(root) == []


def test_a_store_that_cannot_be_asked_leaves_the_source_there(root: Path) -> None:
    def unreachable() -> Store:
        raise LandingError("the store is down")

    catalog = load_catalog(root)
    assert list(configured(catalog, {}, unreachable).sources) == ["desk", "office"]


def test_a_source_without_variables_is_always_there(root: Path) -> None:
    file = root / "catalog" / "sources" / "office.yaml"
    file.write_text(FILES.replace("path_env: OFFICE_FILES", "path: /srv/files"))
    with pytest.raises(CatalogError, match=r"office.yaml:3: optional: is for a source whose `connection`"):
        load_catalog(root)


def test_a_scheduled_table_that_only_a_read_can_tell_is_not_read_between_its_ticks(root: Path) -> None:
    """The sensor reads it once it is stale, which only a missed tick makes it."""
    file = root / "catalog" / "sources" / "desk.yaml"
    text = DESK.replace("tables:", "freshness_hours: 192\ntables:")
    file.write_text(text)
    assert load_catalog(root).source("desk").table("tickets").read_every_hours == 96
    file.write_text(text.replace("tables:", 'schedule: "0 5 * * 1"\ntables:'))
    assert load_catalog(root).source("desk").table("tickets").read_every_hours == 192
