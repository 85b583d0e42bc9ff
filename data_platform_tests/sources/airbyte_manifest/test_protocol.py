"""What a program of the protocol does seldom, and what is refused before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_platform.catalog.load import load_catalog
from data_platform.errors import CatalogError
from data_platform_tests.contracts.airbyte_program import environment
from data_platform_tests.sources.airbyte_manifest.conftest import Project


@pytest.fixture
def program(project: Project) -> Project:
    """Seven items, and a program that gives them."""
    rows = {str(n): {"id": n, "status": f"row {n}", "change": n} for n in range(1, 8)}
    (project.root / "first.json").write_text(json.dumps(rows))
    environment(project.root / "environment")
    return project


def write(project: Project, **more: Any) -> Project:
    config = {"folder": str(project.root), "named": "first", **more.pop("config", {})}
    return project.write(
        {"items": {"key": "id"}}, environment=str(project.root / "environment"), config=config, **more
    )


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("killed", "was ended before it was done (signal 9)"),
        ("silent", "said nothing for 1 seconds and was ended"),
        ("short", "ended without a word before it was done"),
    ],
)
def test_a_program_that_does_not_end_well_is_gone_on_from_its_last_state(
    program: Project, ends: str, words: str
) -> None:
    message = write(program, config={"ends": ends}, silence_seconds=1).failure()
    assert words in message
    assert [b.rows for b in program.batches()] == [3]
    assert program.batches()[-1].position_after.value["state"]["airbyte"] == {"change": 3}
    write(program)
    report = program.sync()["items"]
    # another config is another table for the platform: it is read anew
    assert report.error is None and report.operation == "refresh"
    assert program.rows("SELECT count(*) FROM raw_shop.items") == [(7,)]


def test_a_failure_is_told_without_a_value_of_the_config(program: Project) -> None:
    secret = {"api_key_env": "SHOP_TOKEN", "nested": [{"account": "acme-account"}]}
    message = write(program, config={"ends": "failed", **secret}).failure()
    assert "Airbyte's program says: The key *** of *** is no good" in message
    assert program.batches()[-1].position_after.value["state"]["airbyte"] == {"change": 3}, (
        "what is told after a failure covers nothing"
    )


def test_the_program_gets_its_config_and_nothing_else_of_the_machine(
    program: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the machine")
    write(program, config={"api_key_env": "SHOP_TOKEN"}).good()
    seen = json.loads((program.root / "environment.json").read_text())
    assert "AWS_SECRET_ACCESS_KEY" not in seen and "s3cr3t-token" not in "".join(seen.values())
    assert not Path(seen["HOME"]).exists(), "its folder is gone with it"


def test_without_its_environment_the_command_is_named(project: Project) -> None:
    (mistake,) = write(project).mistakes()
    assert "there is no environment with airbyte-cdk" in mistake and "`make airbyte`" in mistake


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "is no declarative manifest"),
        ("{", "is no YAML"),
        (
            "type: DeclarativeSource\nstreams: [{retriever: {type: CustomRetriever, class_name: source_x.Own}}]\n",
            "streams[0].retriever (source_x.Own) is a custom component",
        ),
    ],
)
def test_manifests_that_are_none_or_need_code_are_refused(program: Project, text: str, words: str) -> None:
    manifest = program.root / "other.yaml"
    manifest.write_text(text)
    (mistake,) = write(program, manifest=manifest).mistakes()
    assert words in mistake
    manifest.unlink()
    (mistake,) = write(program, manifest=manifest).mistakes()
    assert "cannot be read" in mistake


def test_a_stream_that_is_not_there_and_a_key_that_is_another_are_mistakes(program: Project) -> None:
    write(program)
    path = program.root / "catalog" / "sources" / "shop.yaml"
    path.write_text(path.read_text().replace("items:", "tiems:"))
    assert "the manifest has no stream tiems. It has: items" in program.mistakes()[0]
    write(program)
    path.write_text(path.read_text().replace("key: id", "key: status"))
    assert "has the primary key id, and the block the key status" in program.mistakes()[0]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"api_key": "abc"}, "`api_key` is a credential by its name"),
        ({"__injected_components_py": "import os"}, "holds code or a manifest"),
    ],
)
def test_credentials_and_code_in_the_file_are_refused(project: Project, config: Any, words: str) -> None:
    write(project, config=config)
    with pytest.raises(CatalogError) as refused:
        load_catalog(project.root)
    assert words in str(refused.value) and "abc" not in str(refused.value)
