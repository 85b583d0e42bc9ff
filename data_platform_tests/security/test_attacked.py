"""A source whose every name and text attacks, and whose every row may leak: what a project is left with."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from data_platform.catalog import load_catalog
from data_platform.dbt_sources import sources_path
from data_platform.defs import dbt_manifest
from data_platform.sources.postgres.config import settings_of
from data_platform_tests.security import hostile
from data_platform_tests.security.conftest import SCHEMA, Attacked
from data_platform_tests.security.needles import every_byte

pytestmark = pytest.mark.slow
MAY_FAIL = ("validate", "sync", "doctor", "status", "health", "summary", "a run")
"""Tables of the source `broken` are there to fail."""
KEPT = re.compile(r"^project/(\.data|dbt/target/dbt_build-[^/]*)/")
"""Landing, warehouse, backups, and what was restored from them: where rows are meant to be. And dbt's own log."""


Left = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def left(attacked: Attacked) -> Left:
    return list(every_byte(attacked.home))


def said(attacked: Attacked) -> Iterator[tuple[str, bytes]]:
    for words, (_, out, err) in attacked.said.items():
        yield f"standard output of {words}", out.encode(errors="surrogatepass")
        yield f"standard error of {words}", err.encode(errors="surrogatepass")
    yield from ((f"message {n} to the webhook", post.encode()) for n, post in enumerate(attacked.posts))
    yield from (("arguments of a process", line) for line in attacked.arguments)


def test_everything_worked(attacked: Attacked) -> None:
    for words, (code, out, err) in attacked.said.items():
        if not words.startswith(MAY_FAIL):
            assert code == 0, f"{words}: {err}{out}"
        assert "Traceback" not in out + err, f"{words}: {err}{out}"
        assert "Unexpected error" not in err, words
    failed = {
        table["table"]
        for words in ("sync --json", "sync --audit --json")
        for table in json.loads(attacked.said[words][1])["tables"]
        if table.get("error")
    }
    assert failed >= {
        f"broken/{name}" for name in ("v_raise", "v_cast", "v_json", "v_domain", "v_twice", "v_null", "t_nan")
    }
    assert not {table for table in failed if table.startswith("evil/")}
    graph = attacked.said["a run of the graph"]
    assert "Conversion Error, in the source column s" in graph[1] + graph[2]
    assert any("Run failed" in post or "Check failed" in post for post in attacked.posts)


def test_nothing_was_executed_and_nothing_written_elsewhere(attacked: Attacked, left: Left) -> None:
    with psycopg.connect(attacked.url) as connection:
        assert connection.execute("select count(*) from canary").fetchone() == (0,)
    everywhere = list(attacked.home.rglob("*"))
    assert not [path for path in everywhere if path.name == hostile.CANARY]
    assert {path.name for path in attacked.home.iterdir()} == {"project", "home", "tmp", "dagster"}
    assert not [path for path in (attacked.home / "home").rglob("*") if path.is_file()]
    assert not [path for path in (attacked.home / "tmp").rglob("*") if path.is_file()]
    assert {path.name for path in attacked.root.iterdir()} <= {"catalog", "dbt", ".data", ".dagster", "logs"}
    canary = hostile.CANARY_VALUE.encode()
    assert not [place for place, content in [*said(attacked), *left] if canary in content]


def test_nothing_acts_on_a_terminal(attacked: Attacked) -> None:
    """But for csv into a pipe, which is for scripts and exact."""
    acting = {
        place
        for place, content in said(attacked)
        if hostile.ACTING.search(content.decode(errors="replace"))
        and not place.startswith(("arguments", "standard output of query from raw_evil.wide -f csv"))
    }
    assert not acting


def test_every_reader_of_the_generated_files_finds_the_names(attacked: Attacked) -> None:
    written = (attacked.root / "catalog" / "sources" / "evil.yaml").read_text()
    assert not hostile.ACTING.search(written)
    assert all(len(line) < 2000 for line in written.splitlines())
    assert attacked.said[next(w for w in attacked.said if w.startswith("discover"))][1] == written
    draft = yaml.safe_load(written)
    assert set(draft["tables"]) & {"injected"} == set()
    assert draft["schema"] == SCHEMA
    relations = {block.get("relation", name) for name, block in draft["tables"].items()}
    for table in attacked.tables:
        dotted = '"' + table.replace('"', '""') + '"'
        assert table in relations or dotted in relations, table

    sources = yaml.safe_load((attacked.root / sources_path("evil")).read_text())
    assert sources["version"] == 2
    manifest = json.loads(dbt_manifest.manifest_path(attacked.root).read_bytes())
    parsed = {node["name"]: node for node in manifest["sources"].values() if node["source_name"] == "evil"}
    catalog = load_catalog(attacked.root)
    for table in catalog.sources["evil"].tables.values():
        node = parsed[table.id.table]
        assert node["description"] == table.description
        for column in (*table.columns, *table.personal):
            assert column in node["columns"], f"{table.id}: {column!r} of {list(node['columns'])}"


def test_values_come_back_exactly(attacked: Attacked) -> None:
    catalog = load_catalog(attacked.root)
    with (
        psycopg.connect(attacked.url) as connection,
        attacked.platform().warehouse(read_only=True) as warehouse,
    ):
        for table in catalog.sources["evil"].tables.values():
            name = table.id.table
            described = dict(warehouse.describe(table.id.raw_schema, name)[0].columns)
            columns = [c for c in described if not c.startswith("_") and table.treatment(c) == "keep"]
            listed = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in columns)
            relation = sql.Identifier(*settings_of(table).relation)
            query = sql.SQL("select {} from {} order by 1").format(listed, relation)
            expected = connection.execute(query).fetchall()
            quoted = ", ".join('"' + c.replace('"', '""') + '"::text' for c in columns)
            assert columns
            assert warehouse.query(f"select {quoted} from raw_evil.{name} order by 1").rows == expected, name
    restored = attacked.root / ".data" / "restored.duckdb"
    assert restored.is_file()


def test_what_is_shown_as_markup_is_escaped(attacked: Attacked) -> None:
    """Slack's payload: none of its three characters is left but where we wrote a link or a line."""
    for post in attacked.posts[:-1]:
        text = json.dumps(json.loads(post)["blocks"])
        links = re.findall(r"<([^<>]*)>", text)
        assert all(link.startswith("http://127.0.0.1:3000/") for link in links), links
        assert "<!" not in post


def test_no_personal_value_is_anywhere(attacked: Attacked, left: Left) -> None:
    assert len(attacked.people) == 21
    assert attacked.people.found([*said(attacked), *left]) == []


def test_no_error_tells_a_value(attacked: Attacked, left: Left) -> None:
    outside = [one for one in left if not KEPT.match(one[0])]
    assert attacked.errors.found([*said(attacked), *outside]) == []


def test_no_secret_is_anywhere(attacked: Attacked, left: Left) -> None:
    assert attacked.secrets.found([*said(attacked), *left]) == []


def test_the_search_finds_what_is_there(attacked: Attacked, left: Left) -> None:
    """A search that finds nothing anywhere would pass every test above."""
    planted: Any = type(attacked.errors)(drift=attacked.errors["drift key"])
    found = planted.found(left)
    assert {
        kind for kind in ("landing", "warehouse.duckdb", "backups") if any(kind in place for place in found)
    } == {
        "landing",
        "warehouse.duckdb",
        "backups",
    }
    assert any("decoded" in place for place in found)
    assert any(b"[redacted]" in content for place, content in left if place.startswith("dagster/"))
    assert os.environ["ATTACKED_URL"]
