"""What is wrong with a report is told before it is read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.catalog import load_catalog
from data_platform.errors import CatalogError, ConfigurationError
from data_platform.sandbox.services.ga4.credentials import EMAIL
from data_platform.sources.ga4.client import Client
from data_platform.sources.ga4.config import Ga4Connection
from data_platform.sources.ga4.feed import open_looking
from data_platform.sources.reading import Opening
from data_platform.sync import check_sources
from data_platform_tests.sources.ga4.conftest import Web
from data_platform_tests.sources.one_source import PLATFORM


@pytest.mark.parametrize(
    "block, words",
    [
        ({"metrics": ["sesions"]}, "no metric `sesions`. Did you mean `sessions`"),
        ({"dimensions": ["pagepath"], "metrics": ["sessions"]}, "Did you mean `pagePath`"),
        (
            {"dimensions": ["sessions"], "metrics": ["eventCount"]},
            "`sessions` is a metric: write it under `metrics`",
        ),
        (
            {"dimensions": ["pagePath"], "metrics": ["itemsViewed"]},
            "refused the dimensions and metrics of",
        ),
    ],
)
def test_a_wrong_name_is_told_with_what_was_meant(web: Web, block: dict[str, Any], words: str) -> None:
    checked = check_sources(web.write({"report": block}).platform)
    assert any(words in mistake and "web/report" in mistake for mistake in checked.mistakes), checked.mistakes


def test_presets_are_right(web: Web) -> None:
    names = ("traffic", "pages", "events", "conversions", "ecommerce")
    assert check_sources(web.write({name: {"preset": name} for name in names}).platform).mistakes == []


def test_a_metric_by_its_former_name_is_taken(web: Web) -> None:
    assert check_sources(web.write({"report": {"metrics": ["conversions"]}}).platform).mistakes == []


def test_another_property_is_refused(web: Web) -> None:
    mistakes = check_sources(web.write(connection={"property": "1"}).platform).mistakes
    assert mistakes and "role Viewer" in mistakes[0] and "property 1" in mistakes[0]


@pytest.mark.parametrize(
    "block, more, words",
    [
        ({}, {}, "name at least one metric"),
        ({"metrics": [f"m{n}" for n in range(11)]}, {}, "11"),
        ({"metrics": ["sessions"], "dimensions": [f"d{n}" for n in range(9)]}, {}, "10"),
        ({"metrics": ["sessions", "sessions"]}, {}, "twice"),
        ({"metrics": ["sessions"]}, {"connection": {"property": "G-ABC"}}, "property"),
        ({"metrics": ["sessions"]}, {"connection": {}}, "property_env"),
    ],
)
def test_a_block_that_cannot_be_a_report_is_refused(
    tmp_path: Path, block: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    file = {"source": "web", "kind": "ga4", "connection": {"property": "1"}, "start": "2026-01-01", **more}
    (tmp_path / "catalog" / "sources" / "web.yaml").write_text(
        yaml.safe_dump({**file, "tables": {"r": block}})
    )
    with pytest.raises(CatalogError) as raised:
        load_catalog(tmp_path)
    assert words in str(raised.value)


def test_without_the_client_the_extra_is_named(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.analytics.data_v1beta", None)
    error = web.write().sync()["events"].error
    assert isinstance(error, ConfigurationError) and "data-platform[ga4]" in str(error)


@pytest.mark.parametrize(
    "connection, environ, words",
    [
        ({"property_env": "PROPERTY"}, {}, "PROPERTY is not set"),
        ({"property_env": "PROPERTY"}, {"PROPERTY": "G-AB12"}, "PROPERTY does not hold the number"),
        ({"property": "1", "url": "http://api.example.com"}, {}, "plain HTTP to another machine"),
        ({"property": "1", "credentials_file_env": "KEY"}, {"KEY": "absent.json"}, "cannot be read"),
        ({"property": "1", "credentials_file_env": "KEY"}, {"KEY": __file__}, "no service account's key"),
    ],
)
def test_a_connection_that_leads_nowhere_says_why(
    connection: dict[str, Any], environ: dict[str, str], words: str
) -> None:
    opening = Opening("web", Ga4Connection(**connection), environ, ())
    with pytest.raises(ConfigurationError, match=words), open_looking(opening) as looking:
        looking.check(lambda *_: pytest.fail("nothing is accepted"))


def test_a_machine_without_credentials_is_told_to_name_a_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    opening = Opening("web", Ga4Connection(property="1"), {}, ())
    with pytest.raises(ConfigurationError, match="credentials_file_env"), open_looking(opening) as looking:
        looking.check(lambda *_: pytest.fail("nothing is accepted"))


def test_a_service_accounts_key_is_taken_for_googles_own_address(web: Web) -> None:
    key = str(web.property.place.folder / "key.json")
    connection = Ga4Connection(property="1", credentials_file_env="KEY")
    client = Client("web", connection, "1", {"KEY": key})
    assert client._client.transport.host == "https://analyticsdata.googleapis.com"
    assert client._client.transport._credentials.service_account_email == EMAIL
    assert client.system == "properties/1"
