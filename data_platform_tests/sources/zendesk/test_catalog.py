"""What a Zendesk source's file may say, and what is said of a mistake in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.catalog import load_catalog
from data_platform.errors import CatalogError, ConfigurationError
from data_platform.sources.zendesk.config import ZendeskConnection, url_of
from data_platform.sources.zendesk.keys import object_of, zendesk_settings
from data_platform_tests.sources.one_source import PLATFORM

CONNECTION = {"subdomain": "acme", "oauth_token_env": "ZENDESK_TOKEN"}


def write(folder: Path, tables: Any, connection: Any = CONNECTION) -> Path:
    (folder / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "catalog" / "platform.yaml").write_text(PLATFORM)
    file = {"source": "help", "kind": "zendesk", "connection": connection, "tables": tables}
    (folder / "catalog" / "sources" / "help.yaml").write_text(yaml.safe_dump(file))
    return folder


def mistake(folder: Path, tables: Any, connection: Any = CONNECTION) -> str:
    with pytest.raises(CatalogError) as caught:
        load_catalog(write(folder, tables, connection))
    return "\n".join(caught.value.mistakes)


def test_blocks_need_their_names_alone(tmp_path: Path) -> None:
    tables = {"tickets": {}, "ticket_custom_fields": {}, "metric_sets": {}, "people": {"object": "users"}}
    source = load_catalog(write(tmp_path, tables)).source("help")
    keys = {name: source.table(name).key for name in tables}
    assert keys == {
        "tickets": ("id",),
        "ticket_custom_fields": ("_parent_id", "_index"),
        "metric_sets": ("ticket_id",),
        "people": ("id",),
    }
    assert object_of(source.table("people")).endpoint == "incremental/users/cursor.json"
    assert zendesk_settings(source.table("ticket_custom_fields")).parent == "tickets"


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"ticket": {}}, "Did you mean tickets?"),
        ({"people": {"object": "user"}}, "tables.people.object"),
        ({"ticket_custom_fields": {}}, "add the table `tickets`"),
        ({"users": {"include": ["comment_events"]}}, "belongs to ticket_events alone"),
        ({"macros": {"deleted": "remove"}}, "Zendesk tells of no deleted macros"),
        ({"tickets": {"cursor": "updated_at"}}, "is not used by Zendesk"),
        ({"tickets": {"deleted": "drop"}}, "tables.tickets.deleted"),
    ],
)
def test_mistakes_say_what_to_do(tmp_path: Path, tables: Any, says: str) -> None:
    assert says in mistake(tmp_path, tables)


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        ({"oauth_token_env": "T"}, "needs one of `subdomain` and `url_env`"),
        ({"subdomain": "acme", "email_env": "E"}, "`email_env` and `api_token_env`"),
        ({"subdomain": "acme", "email_env": "E", "oauth_token_env": "T"}, "`oauth_token_env` alone"),
        ({"subdomain": "acme.zendesk.com", "oauth_token_env": "T"}, "connection.subdomain"),
    ],
)
def test_an_account_is_reached_in_one_way(tmp_path: Path, connection: Any, says: str) -> None:
    assert says in mistake(tmp_path, {"tickets": {}}, connection)


def test_the_url_is_the_accounts() -> None:
    own = ZendeskConnection(subdomain="acme", oauth_token_env="T")
    assert url_of("help", own, {}) == "https://acme.zendesk.com"
    other = ZendeskConnection(url_env="U", oauth_token_env="T")
    assert url_of("help", other, {"U": "http://127.0.0.1:5/api/v2/"}) == "http://127.0.0.1:5"
    with pytest.raises(ConfigurationError, match="U must hold a URL"):
        url_of("help", other, {"U": "acme.zendesk.com"})
