"""What dlt is not let see, and what is refused by name."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from data_platform.catalog.load import load_catalog
from data_platform.errors import CatalogError
from data_platform_tests.sources.dlt.conftest import MODULE, Orders, Project
from data_platform_tests.sources.http.server import serving

OWN = """
import os

import dlt


@dlt.resource
def asked(region: str = dlt.config.value, api_key: str = dlt.secrets.value):
    yield [{"region": region, "given": api_key == "s3cr3t-token"}]


@dlt.source
def own():
    return asked


@dlt.source
def upsert(kind="scd2"):
    @dlt.resource(primary_key="id", write_disposition={"disposition": "merge", "strategy": "scd2"})
    def versions():
        yield [{"id": 1}]

    @dlt.resource(primary_key="id", merge_key="day", write_disposition="merge")
    def groups():
        yield [{"id": 1, "day": 1}]

    @dlt.resource(primary_key=["org", "id"], write_disposition="merge", columns={"at": {"dedup_sort": "desc"}})
    def latest():
        yield [{"id": 1, "org": 1, "at": 1}]

    @dlt.resource(primary_key="id")
    def keeps_it(token: str = dlt.secrets.value):
        dlt.current.resource_state()["token"] = token
        yield [{"id": 1}]

    return versions, groups, latest, keeps_it
"""


@pytest.fixture
def own(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    (project.root / "own_source.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_source", raising=False)
    return project


def test_dlt_sees_what_the_file_gives_it_and_nothing_of_the_machine(
    own: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (own.root / ".dlt").mkdir()
    for name in ("config.toml", "secrets.toml"):
        (own.root / ".dlt" / name).write_text('region = "of the folder"\napi_key = "of the folder"\n')
    monkeypatch.chdir(own.root)
    monkeypatch.setenv("REGION", "of the environment")
    monkeypatch.setenv("API_KEY", "of the environment")
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "true")
    tables = {"asked": {"strategy": "replace"}}
    message = own.write("own_source:own", tables).failure("asked")
    assert "asks for region" in message and "`config`" in message
    config = {"region": "eu", "sources.own_source.asked.api_key_env": "SHOP_TOKEN"}
    own.write("own_source:own", tables, config=config).good()
    assert own.rows("SELECT region, given FROM raw_shop.asked") == [("eu", True)]
    from dlt.common.runtime import anon_tracker

    assert anon_tracker._ANON_TRACKER_ENDPOINT is None, "nothing is sent to anybody"
    assert sorted(p.name for p in own.root.iterdir() if p.name.startswith(".")) == [".dlt"]


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ("versions", "id", "the strategy scd2 keeps every version"),
        ("groups", "id", "merge_key (day)"),
        ("latest", ["org", "id"], "dedup_sort (at)"),
    ],
)
def test_hints_that_would_change_what_lands_are_refused(
    own: Project, table: str, key: Any, words: str
) -> None:
    own.write("own_source:upsert", {table: {"key": key}})
    (mistake,) = own.mistakes()
    assert f"shop/{table}" in mistake and words in mistake
    assert words in own.failure(table)


def test_a_key_that_is_not_the_resources_is_a_mistake(own: Project) -> None:
    own.write("own_source:upsert", {"latest": {"key": "id"}})
    assert any("primary_key org, id, and the block the key id" in mistake for mistake in own.mistakes())


def test_a_secret_in_the_state_of_a_resource_lands_nothing(own: Project) -> None:
    own.write(
        "own_source:upsert",
        {"keeps_it": {"key": "id", "state": "read"}},
        config={"token_env": "SHOP_TOKEN"},
    )
    message = own.failure("keeps_it")
    assert "keeps the value of an environment variable in its state" in message and "s3cr3t" not in message
    assert "s3cr3t" not in "".join(
        file.read_text() for file in (own.root / "landing").rglob("*.json") if file.is_file()
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("nowhere_at_all:source", "there is no module nowhere_at_all"),
        (f"{MODULE}:missing", "has no function missing"),
        (f"{MODULE}:nothing", "gives a int, and neither a dlt source nor resources"),
        (f"{MODULE}:shop", "its function asks for token, which nobody gave"),
    ],
)
def test_a_function_that_gives_no_source_is_named(project: Project, function: str, words: str) -> None:
    project.write(function, {"orders": {"key": "id"}})
    (mistake,) = project.mistakes()
    assert words in mistake


def test_arguments_that_the_function_does_not_take_are_named(project: Project) -> None:
    project.write("nothing", {"orders": {"key": "id"}}, arguments={"colour": "red"})
    (mistake,) = project.mistakes()
    assert "does not take the `arguments` as they are (colour)" in mistake and "red" not in mistake


def test_errors_name_the_resource_and_no_value(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    tables = {"broken": {"strategy": "replace"}}
    message = project.write("broken", tables, arguments={"secret_env": "SHOP_TOKEN"}).failure("broken")
    assert "shop/broken: the dlt resource broken failed with KeyError (company.py, line" in message
    assert "Eve" not in message and "s3cr3t" not in message
    message = project.write("odd", {"odd": {"strategy": "replace"}}).failure("odd")
    assert "the dlt resource odd gave a row with a value of the type object" in message
    message = project.write("odd", {"even": {"strategy": "replace"}}).failure("even")
    assert "gives no resource even. It gives: odd" in message
    orders = Orders({1: 1})
    with serving(orders.answer) as server:
        project.write("shop", {"orders": {"key": "id"}}, arguments={"url": server.url, "token_env": "PATH"})
        assert "HTTP 401" in (message := project.failure("orders")) and "Check the credentials" in message
    assert "s3cr3t" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"token": "abc"}, "`token` is a credential by its name"),
        ({"auth": [{"client_secret": "abc"}]}, "client_secret` is a credential"),
        ({"token_env": 5}, "`token_env` must name an environment variable"),
    ],
)
def test_credentials_in_the_file_are_refused(project: Project, arguments: Any, words: str) -> None:
    project.write("shop", {"orders": {"key": "id"}}, arguments=arguments)
    with pytest.raises(CatalogError) as refused:
        load_catalog(project.root)
    assert words in str(refused.value) and "abc" not in str(refused.value)


def test_without_dlt_the_extra_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlt", None)
    project.write("typed", {"typed": {"key": "id"}})
    (mistake,) = project.mistakes()
    assert "pip install 'data-platform[dlt]'" in mistake
