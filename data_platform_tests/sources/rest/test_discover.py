"""A file drafted from an answer and from an OpenAPI document: it loads, and it holds no value."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.errors import SourceError
from data_platform.sources.looking import Privacy
from data_platform.sources.rest.config import RestConnection
from data_platform.sources.rest.discover import discover
from data_platform.sources.rest.keys import RestSourceKeys, level_of
from data_platform_tests.sources.http.server import Asked, Reply, serving
from data_platform_tests.sources.rest.test_rewrite import load

PRIVACY = Privacy(
    looks=lambda column, *_: None,
    by_name=lambda column, _: "an email address" if column == "email" else None,
    treatment=lambda *_: "hash",
)


def draft(url: str, **connection: Any) -> str:
    return discover(
        source="blog",
        connection=RestConnection.model_validate({"base_url": url, **connection}),
        keys=RestSourceKeys(),
        environ={"BLOG_TOKEN": "s3cr3t-value"},
        today=date(2026, 1, 31),
        privacy=PRIVACY,
    )


def test_one_answer_is_one_table(tmp_path: Path) -> None:
    posts = [
        {
            "id": n,
            "title": "needle",
            "created_at": f"2026-01-0{n}T00:00:00Z",
            "day": "2026-01-01",
            "author": {"email": "needle@example.com"},
            "lines": [{"sku": "needle"}],
        }
        for n in (1, 2)
    ]

    def answer(asked: Asked) -> Reply:
        assert asked.headers["Authorization"] == "Bearer s3cr3t-value" and asked.path == "/v2/posts"
        return Reply({"data": posts, "next_cursor": "needle"})

    with serving(answer) as server:
        text = draft(f"{server.url}/v2/posts", auth="{type: bearer, token_env: BLOG_TOKEN}")
    assert "needle" not in text and "s3cr3t" not in text
    source = load(tmp_path, text)
    table = source.table("posts")
    assert table.key == ("id",) and table.personal == {"author.email": "hash"}
    assert table.settings.types == {"created_at": "timestamp", "day": "date"}  # type: ignore[attr-defined]
    endpoint = level_of(table).endpoint
    assert endpoint.data_selector == ("data",) and endpoint.paginator.type == "cursor"  # type: ignore[union-attr]
    assert "path: lines" in text and source.connection.variables({}) == {"auth.token_env": True}


def openapi(**paths: Any) -> dict[str, Any]:
    post = {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "integer"},
            "updated_at": {"type": "string", "format": "date-time"},
            "author": {"$ref": "#/components/schemas/Author"},
        },
    }
    return {
        "openapi": "3.0.3",
        "servers": [{"url": "/v2"}],
        "paths": paths,
        "components": {"schemas": {"Post": post, "Author": {"properties": {"email": {"type": "string"}}}}},
    }


def gives(schema: Any, *params: str) -> dict[str, Any]:
    return {
        "get": {
            "summary": "What it is",
            "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in params],
            "responses": {"200": {"content": {"application/json": {"schema": schema}}}},
        }
    }


POST = {"$ref": "#/components/schemas/Post"}
DOCUMENT = openapi(
    **{
        "/posts": gives(
            {"properties": {"data": {"type": "array", "items": POST}}}, "offset", "limit", "updated_since"
        ),
        "/posts/{post_id}": gives(POST),
        "/posts/{post_id}/comments": gives({"type": "array", "items": POST}, "page"),
        "/a/{b}/c/{d}": gives({"type": "array", "items": POST}),
        "/health": gives({"type": "string"}),
    }
)


@pytest.mark.parametrize("written", [json.dumps, yaml.safe_dump])
def test_an_openapi_document_is_its_lists(tmp_path: Path, written: Any) -> None:
    with serving(lambda _: Reply(written(DOCUMENT).encode())) as server:
        text = draft(f"{server.url}/openapi")
        source = load(tmp_path, text)
        assert source.connection.base_url == f"{server.url}/v2"  # type: ignore[attr-defined]
    assert list(source.tables) == ["posts", "comments"]
    posts, comments = (level_of(table) for table in source.tables.values())
    assert posts.endpoint.data_selector == ("data",) and posts.endpoint.paginator.type == "offset"  # type: ignore[union-attr]
    assert comments.path == "posts/{resources.posts.id}/comments" and comments.parent == posts
    assert source.table("posts").personal == {"author.email": "hash"}
    assert "start_param: updated_since" in text
    assert all(f"{path}" in text for path in ("/posts/{post_id}", "/a/{b}/c/{d}", "/health"))


@pytest.mark.parametrize(
    "reply, said",
    [
        (Reply(b"<html>"), "neither JSON nor an OpenAPI document"),
        (Reply([]), "holds no record"),
        (Reply(openapi()), "no endpoint that gives a list"),
        (Reply(status=403), "403"),
    ],
)
def test_what_cannot_be_drafted_says_why(reply: Reply, said: str) -> None:
    with serving(lambda _: reply) as server, pytest.raises(SourceError, match=said):
        draft(f"{server.url}/posts")
