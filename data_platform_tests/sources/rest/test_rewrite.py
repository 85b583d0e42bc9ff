"""A config of dlt's pasted into a source's file, and what every mistake in it says, with its line."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_platform.catalog.load import load_catalog
from data_platform.catalog.schema import node_at, source_schema
from data_platform.catalog.source import Source
from data_platform.doctor.look import Variable, named_variables
from data_platform.errors import CatalogError
from data_platform.sources.rest.keys import level_of
from data_platform.sources.rest.rewrite import table_name
from data_platform_tests.sources.one_source import PLATFORM

HEAD = "source: blog\nkind: rest\n"
CLIENT = "client:\n  base_url: https://api.example.com/v2/\n"


def load(folder: Path, text: str) -> Source:
    (folder / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "catalog" / "platform.yaml").write_text(PLATFORM)
    (folder / "catalog" / "sources" / "blog.yaml").write_text(text)
    return load_catalog(folder).source("blog")


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load(folder, text)
    return [line.removeprefix("catalog/sources/") for line in caught.value.mistakes]


PASTED = """\
source: blog
kind: rest
client:
  base_url: https://api.example.com/v2/
  headers: {X-Version: "3"}
  auth:
    type: api_key
    name: key
    location: query
    api_key_env: BLOG_KEY
  paginator:
    type: json_link
    next_url_path: paging.next
resource_defaults:
  primary_key: id
  write_disposition: merge
  endpoint:
    params: {per_page: 100}
resources:
  - posts
  - name: comments
    endpoint: {path: "posts/{resources.posts.id}/comments"}
    include_from_parent: [title]
    parallelized: true
  - name: Open-Issues
    primary_key: [number]
    write_disposition: {disposition: merge, strategy: upsert}
    columns: {price: {data_type: decimal, precision: 10, scale: 2, description: Its price}}
    endpoint:
      path: issues
      params:
        per_page: 50
        since: {type: incremental, cursor_path: updated_at, initial_value: "2024-01-01"}
      paginator: header_link
  - name: issue
    endpoint:
      path: issues/{n}
      params: {n: {type: resolve, resource: Open-Issues, field: number}}
tables:
  posts:
    personal: {author: keep}
"""


def test_a_pasted_config_is_the_tables_that_it_describes(tmp_path: Path) -> None:
    source = load(tmp_path, PASTED)
    assert source.connection.variables({}) == {"auth.api_key_env": True}
    assert source.connection.variable("auth.api_key_env") == "BLOG_KEY"
    tables = source.tables
    assert list(tables) == ["posts", "comments", "open_issues", "issue"]
    assert tables["posts"].key == ("id",) and tables["posts"].strategy == "merge"
    assert tables["posts"].personal == {"author": "keep"}
    posts, comments, issues, issue = (level_of(table) for table in tables.values())
    assert posts.path == "posts" and posts.endpoint.params == {"per_page": 100}
    assert comments.parent == posts and comments.include == ("title",)
    assert tables["open_issues"].key == ("number",)
    assert tables["open_issues"].columns == {"price": "Its price"}
    assert tables["open_issues"].settings.types == {"price": "decimal(10,2)"}  # type: ignore[attr-defined]
    assert issues.endpoint.params == {"per_page": 50} and issues.endpoint.incremental is not None
    assert issues.endpoint.incremental.start_param == "since"
    assert issue.parent == issues and issue.single


def test_a_table_without_a_key_is_read_whole(tmp_path: Path) -> None:
    source = load(tmp_path, HEAD + CLIENT + "resources: [posts]\n")
    assert source.table("posts").strategy == "replace"


def test_the_platforms_own_form_takes_defaults_too(tmp_path: Path) -> None:
    text = """\
    source: blog
    kind: rest
    connection: {base_url_env: BLOG_URL}
    resource_defaults: {key: id, endpoint: {data_selector: data}}
    tables:
      posts:
      lines: {of: posts, path: lines}
    """
    source = load(tmp_path, dedent(text))
    assert source.table("posts").key == ("id",)
    assert level_of(source.table("posts")).endpoint.data_selector == ("data",)
    assert level_of(source.table("lines")) == level_of(source.table("posts"))
    assert source.table("lines").key == ("_parent_id", "_index")


@pytest.mark.parametrize(
    "line, said",
    [
        ("  - {name: a, processing_steps: [{filter: x}]}", "resources[0].processing_steps: is Python code"),
        ("  - {name: a, merge_key: b}", "resources[0].merge_key: is not supported: rows are replaced by"),
        ("  - {name: a, selected: false}", "resources[0].selected: is not supported"),
        ("  - {name: a, write_disposition: {disposition: merge, strategy: scd2}}", "write_disposition.strategy: is not"),
        ("  - {name: a, columns: {b: {data_type: binary}}}", "resources[0].columns.b: has a data_type that is not"),
        ("  - {name: a, endpoint: {auth: {token_env: X}}}", "resources[0].endpoint.auth: is not supported here"),
        ("  - {name: a, endpoint: {data: x}}", "resources[0].endpoint.data: is not supported: a body"),
        ("  - {name: a, endpoint: {pth: b}}", "resources[0].endpoint.pth: unknown key. Did you mean `path`?"),
        ("  - {name: a, endpoint: {paginator: {type: offset, offset: 0}}}", "endpoint.paginator.limit: is missing"),
        ("  - {name: a, endpoint: {paginator: curser}}", "endpoint.paginator"),
        ("  - {name: a, endpoint: {paginator: {type: cursor, cursor_path: 'a[?(@.x)]'}}}", "cursor_path: is no path"),
        ("  - {name: a, endpoint: {incremental: {cursor_path: t, convert: x, start_param: s}}}", "incremental.convert: is Python"),
        ("  - {name: a, endpoint: {incremental: {cursor_path: t}}}", "no request takes; name its `start_param`"),
        ("  - {name: a, endpoint: {incremental: {cursor_path: t, start_param: s, last_value_func: min}}}", "must be one of max"),
        ("  - {name: a, endpoint: {path: 'b/{resources.c.id}'}}", "resources[0].endpoint: takes values of `c`, which is not a table"),
        ("  - {name: a, endpoint: {path: 'a/{resources.a.id}'}}", "which takes values of `a`"),
        ("  - {name: a, endpoint: {path: 'b/{id}'}}", "path names {id}; write {resources.<table>.<field>}"),
        ("  - {name: a, endpoint: {path: 'https://b.c/d'}}", "must be a path: the host is that of `base_url`"),
        ("  - {name: a, endpoint: {path: ../b}}", "must be a path without `..`"),
        ("  - {name: a, endpoint: {json: {b: 1}}}", "write method: POST"),
        ("  - {name: a, endpoint: {response_actions: [{status_code: 4o4, action: ignore}]}}", "must be a status such as 404"),
        ("  - {name: a, endpoint: {params: {q: 't>{incremental.start_value}'}, incremental: {cursor_path: t}}}", "give the incremental's `initial_value`"),
        ("  - {endpoint: b}", "resources[0]: needs a `name`"),
        ("  - 7", "resources[0]: must be a name, or a block"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_where_it_stands(tmp_path: Path, line: str, said: str) -> None:
    found = mistakes(tmp_path, HEAD + CLIENT + "resources:\n  # a comment\n" + line + "\n")
    assert len(found) == 1, found
    assert found[0].startswith("blog.yaml:7: ") and said in found[0]


def test_a_mistake_of_the_defaults_is_told_once(tmp_path: Path) -> None:
    text = (
        HEAD + CLIENT + "resource_defaults:\n  endpoint: {params: {}, pagintor: auto}\nresources: [a, b, c]\n"
    )
    assert [one.split(". ")[0] for one in mistakes(tmp_path, text)] == [
        "blog.yaml:6: resource_defaults.endpoint.pagintor: unknown key"
    ]


@pytest.mark.parametrize(
    "text, said",
    [
        ("  auth: {type: bearer, token: s3cr3t}", r"client\.auth\.token: is a credential.*under `token_env`"),
        ("  auth: {type: api_key, name: X, api_key: s3cr3t}", r"auth\.api_key: is a credential"),
        ("  auth: {type: http_basic, username: me, password: s3cr3t}", r"auth\.password: .* `password_env`"),
        (
            "  headers: {Authorization: Bearer s3cr3t}",
            r"headers\.Authorization: holds a credential.*headers_env",
        ),
        ("  headers: {X-Api-Key: s3cr3t}", r"headers\.X-Api-Key: holds"),
        (
            "  auth: {type: bearer, token_env: 's3cr3t value'}",
            r"token_env: must be the name of an environment variable",
        ),
        ("  session: s3cr3t", r"client\.session: is a Python object"),
    ],
)
def test_credentials_are_refused_and_never_repeated(tmp_path: Path, text: str, said: str) -> None:
    found = mistakes(tmp_path, HEAD + CLIENT + text + "\nresources: [posts]\n")
    first = found[0]
    assert re.search(said, first) and first.startswith("blog.yaml:5: "), found
    assert "s3cr3t" not in "".join(found)


def test_credentials_in_parameters_are_refused(tmp_path: Path) -> None:
    endpoint = "endpoint: {params: {api_key: s3cr3t, page_token: x, q: y}}"
    found = mistakes(tmp_path, HEAD + CLIENT + f"resource_defaults: {{{endpoint}}}\nresources: [a, b]\n")
    assert (
        len(found) == 1 and "params.api_key: looks like a credential" in found[0] and "s3cr3t" not in found[0]
    )
    assert load(tmp_path, HEAD + CLIENT + "resources: [{name: a, endpoint: {params: {page_token: x}}}]\n")


def test_a_cursor_of_each_person_is_not_kept(tmp_path: Path) -> None:
    text = HEAD + CLIENT + (
        "resource_defaults: {primary_key: id}\n"
        "resources:\n"
        "  - users\n"
        "  - {name: logins, endpoint: {path: 'users/{resources.users.email}/logins',"
        " incremental: {cursor_path: t, start_param: since}}}\n"
        "tables: {users: {personal: {email: hash}}}\n"
    )  # fmt: skip
    (found,) = mistakes(tmp_path, text)
    assert (
        found.startswith("blog.yaml:8: ")
        and "takes `email` of `users`, which is personal and treated" in found
    )


def test_a_cursor_that_is_personal_is_not_kept(tmp_path: Path) -> None:
    endpoint = "endpoint: {incremental: {cursor_path: email, start_param: after}}"
    text = (
        HEAD
        + CLIENT
        + f"resources: [{{name: users, primary_key: id, personal: {{email: hash}}, {endpoint}}}]\n"
    )
    (found,) = mistakes(tmp_path, text)
    assert "resources[0].endpoint: reads by `email`, which is personal and treated" in found


def test_doctor_names_the_variables_of_credentials(tmp_path: Path) -> None:
    load(tmp_path, PASTED)
    catalog = load_catalog(tmp_path)
    found = named_variables(catalog, catalog.environment("local"), {})
    assert Variable("BLOG_KEY", "connection of blog.auth.api_key_env", True) in found


def test_editors_take_names_alone() -> None:
    schema = source_schema("rest")
    for path in (
        ("connection", "paginator"),
        ("tables", "x", "endpoint"),
        ("tables", "x", "endpoint", "paginator"),
    ):
        node = node_at(schema, path[:-1])["properties"][path[-1]]
        options = [option for one in (node, *node.get("anyOf", ())) for option in one.get("anyOf", (one,))]
        assert any(option.get("type") == "string" for option in options), path
    assert "connection" not in schema["required"] and "tables" not in schema["required"]


WORDS = st.sampled_from(
    """client connection auth type token token_env bearer api_key headers paginator offset limit cursor resources tables
    resource_defaults name posts endpoint path params incremental cursor_path start_param resolve resource field personal
    {resources.posts.id} {resources.posts columns data_type write_disposition disposition primary_key include_from_parent
    response_actions status_code table_name of base_url https://a.b/c""".split()
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["client", "resources", "resource_defaults", "tables"]), ANYTHING))
def test_whatever_is_written_is_a_mistake_and_no_crash(tmp_path: Path, written: dict[str, Any]) -> None:
    try:
        load(tmp_path, yaml.safe_dump({"source": "blog", "kind": "rest", **written}))
    except CatalogError as error:
        assert all(line.startswith("catalog/") for line in error.mistakes)


@pytest.mark.parametrize("key", ["resources", "resource_defaults"])
def test_a_block_of_another_form_is_a_mistake(tmp_path: Path, key: str) -> None:
    found = mistakes(tmp_path, HEAD + CLIENT + f"{key}: true\ntables: {{a: {{key: id}}}}\n")
    assert len(found) == 1 and re.match(rf"blog\.yaml:5: {key}: must be a (list|block)", found[0])


def test_names_of_resources_as_tables() -> None:
    names = {"posts": "posts", "Open-Issues": "open_issues", "openIssues": "open_issues", "a.b__c": "a_b_c"}
    assert {name: table_name(name) for name in names} == names
