"""``validate`` and ``discover``, and the files made from the catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jinja2
import pytest
from ruamel.yaml import YAML

from data_platform.catalog import load_catalog
from data_platform.cli import generated

from .conftest import CRM, Result

Cli = Callable[..., Result]
SOURCES = "dbt/models/staging/shop/_shop__sources.yml"


def test_a_valid_catalog(cli: Cli, project: Path) -> None:
    wrote = cli("validate", "--write")
    assert wrote.code == 0
    assert f"wrote {SOURCES}\n" in wrote.out
    assert "The catalog is valid: 2 sources, 4 tables." in wrote.out
    again = cli("validate", "--write", "--json")
    assert json.loads(again.out) == {
        "ok": True,
        "sources": 2,
        "tables": 4,
        "connected": False,
        "mistakes": [],
        "questions": [],
        "notes": [],
        "outdated": [],
        "written": [],
    }


def test_every_mistake_at_once(cli: Cli, project: Path) -> None:
    shop = project / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text().replace("key: order_id", "kee: order_id"))
    (project / "catalog" / "sources" / "crm.yaml").write_text(CRM.replace("kind: postgres", "kind: oracle"))
    result = cli("validate")
    assert result.code == 2
    assert "shop.yaml" in result.err and "kee" in result.err
    assert "crm.yaml" in result.err and "kind" in result.err
    document = json.loads(cli("validate", "--json").out)
    assert document["ok"] is False
    assert len(document["mistakes"]) >= 2


def test_a_generated_file_that_is_old_or_missing_is_said_and_fails_where_asked(
    cli: Cli, project: Path
) -> None:
    assert "is missing" in cli("validate").err
    cli("validate", "--write")
    (project / SOURCES).write_text("version: 2\n")
    said = cli("validate")
    assert said.code == 0
    assert f"{SOURCES}: does not match" in said.err
    result = cli("validate", "--check-generated", "--json")
    assert result.code == 2
    document = json.loads(result.out)
    assert document["mistakes"] == document["outdated"]
    assert document["mistakes"][0].startswith(f"{SOURCES}: does not match")
    assert cli("validate", "--check-generated", "--write").code == 0


def test_sources_of_a_source_that_is_gone_are_removed_and_ones_by_hand_are_not(
    cli: Cli, project: Path
) -> None:
    cli("validate", "--write")
    by_hand = project / "dbt/models/staging/own/_own__sources.yml"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_text("version: 2\n")
    (project / "catalog" / "sources" / "crm.yaml").unlink()
    assert "no longer in the catalog" in cli("validate").err
    assert cli("validate", "--write").code == 0
    assert not (project / "dbt/models/staging/crm/_crm__sources.yml").exists()
    assert by_hand.exists()


def test_dbt_sources_hold_keys_and_descriptions(project: Path) -> None:
    text = generated.rendered(load_catalog(project))[SOURCES]
    [source] = YAML(typ="safe").load(text)["sources"]
    assert source["name"] == "shop"
    assert source["schema"] == "{{ env_var('DATA_PLATFORM_SCHEMA_PREFIX', '') }}raw_shop"
    orders, products = source["tables"]
    assert orders["config"]["meta"]["dagster"]["asset_key"] == ["raw", "shop", "orders"]
    assert orders["columns"][0] == {"name": "order_id", "description": "The order's number"}
    assert "hash" in products["columns"][0]["description"]
    assert jinja2.Template(source["description"]).render() == 'A shop: with {{ braces }} and "quotes"', (
        "dbt renders it"
    )


def test_the_repository_s_own_generated_files_are_current() -> None:
    root = Path(__file__).parents[2]
    assert generated.differences(load_catalog(root)) == []


def test_discover_needs_the_url(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLI_TEST_NEW_URL", raising=False)
    result = cli("discover", "--source", "new", "--url-env", "CLI_TEST_NEW_URL")
    assert result.code == 2
    assert "CLI_TEST_NEW_URL" in result.err


def test_discover_never_overwrites_unasked(cli: Cli, project: Path) -> None:
    result = cli("discover", "--source", "shop", "--url-env", "CLI_TEST_SHOP_URL", "--write")
    assert result.code == 2
    assert "--overwrite" in result.err
    both = cli("discover", "--source", "x", "--url-env", "X", "--write", "--output", "y.yaml")
    assert both.code == 2


@pytest.mark.slow
def test_discover_writes_a_catalog_that_is_valid(
    cli: Cli, project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    with psycopg.connect(database) as connection:
        connection.execute(
            "create table people (id bigint primary key, email text, updated_at timestamptz not null)"
        )
    monkeypatch.setenv("CLI_TEST_NEW_URL", database)
    monkeypatch.setenv("CLI_TEST_HASH_KEY", "k" * 32)
    printed = cli("discover", "--source", "new", "--url-env", "CLI_TEST_NEW_URL")
    assert printed.code == 0
    assert "people:" in printed.out
    written = cli("discover", "--source", "new", "--url-env", "CLI_TEST_NEW_URL", "--write")
    assert written.code == 0
    file = project / "catalog" / "sources" / "new.yaml"
    assert file.read_text() == printed.out
    for other in ("shop", "crm"):
        (project / "catalog" / "sources" / f"{other}.yaml").unlink()
    checked = cli("validate", "--connect", "--write")
    assert checked.code == 0, checked.err
    assert "agrees with the sources" in checked.out


@pytest.mark.slow
def test_a_newcomer_looks_at_the_own_source_alone_and_is_told_what_is_missing(
    cli: Cli, project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other sources have no URL, and no hash key is set yet."""
    import psycopg

    with psycopg.connect(database) as connection:
        connection.execute("create table people (id bigint primary key, email text, phone text)")
        connection.execute("create table visits (id bigint primary key)")
        connection.execute("create materialized view later as select 1 as x with no data")
    monkeypatch.setenv("CLI_TEST_NEW_URL", database)
    monkeypatch.delenv("CLI_TEST_HASH_KEY", raising=False)
    written = cli("discover", "--source", "new", "--url-env", "CLI_TEST_NEW_URL", "--write")
    assert "2 tables taken, 1 left out, each with the reason: later." in written.err
    assert "2 guesses about personal data to confirm: remove the question mark" in written.err
    assert "data-platform validate new --connect --write" in written.err
    result = cli("validate", "new", "--connect", "--write")
    assert result.code == 2
    lines = result.err.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == [
        line for line in lines if "CLI_TEST_HASH_KEY is not set" in line
    ], "and nothing of the sources that were not named"
    assert [line.split(":")[0] for line in lines].index("Error") > max(
        n for n, line in enumerate(lines) if line.startswith("question: ")
    )
    assert result.err.count("remove the question mark") == 1
    monkeypatch.setenv("CLI_TEST_HASH_KEY", "k" * 32)
    checked = cli("validate", "new", "--connect", "--write")
    assert checked.code == 0, checked.err
    assert "agrees with the source new: 3 sources, 6 tables" in checked.out


def test_a_source_to_look_at_must_be_there_and_goes_with_connect(cli: Cli, project: Path) -> None:
    assert "SOURCE requires --connect" in cli("validate", "crm").err
    unknown = cli("validate", "cmr", "--connect")
    assert unknown.code == 2 and "cmr" in unknown.err


@pytest.mark.slow
def test_validate_connect_names_what_the_database_lacks(
    cli: Cli, project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLI_TEST_SHOP_URL", database)
    (project / "catalog" / "sources" / "crm.yaml").unlink()
    cli("validate", "--write")
    result = cli("validate", "--connect")
    assert result.code == 2
    assert "orders" in result.err and "products" in result.err


def folder_of(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


NO_NAMES = [
    "",
    "My-Shop",
    "../../evil",
    "/abs",
    "shop/x",
    "a__b",
    "9a",
    "x" * 49,
    "data_platform",
    "a\nb",
    "ü",
    "a.yaml",
]
NO_VARIABLES = ["", "u-r-l", "A B", "postgresql://u:hunter2@h/db", "1A", "A\n", "a=b"]
NO_SCHEMAS = ["", "x" * 64, "a\nkind: evil", "a\x1bb"]


@pytest.mark.parametrize(
    ("option", "word"),
    [
        *(("--source", word) for word in NO_NAMES),
        *(("--url-env", word) for word in NO_VARIABLES),
        *(("--schema", word) for word in NO_SCHEMAS),
    ],
)
def test_discover_looks_at_its_own_words_first(cli: Cli, project: Path, option: str, word: str) -> None:
    """Before it connects or writes; the message says what is allowed and repeats no value."""
    before = folder_of(project), set(project.parent.iterdir())
    words = {"--source": "found", "--url-env": "FOUND_URL", "--schema": "public", option: word}
    for how in ((), ("--write",), ("--write", "--overwrite"), ("--output", "found.yaml")):
        result = cli("discover", *(part for pair in words.items() for part in pair), *how)
        assert result.code == 2, result.err
        assert f"{option} must be" in result.err and "hunter2" not in result.err
    assert (folder_of(project), set(project.parent.iterdir())) == before


def test_discover_writes_over_nothing(cli: Cli, project: Path, tmp_path: Path) -> None:
    before = folder_of(project)
    sources = project / "catalog" / "sources"
    (sources / "other.yaml").symlink_to(project.parent / "elsewhere.yaml")  # leads nowhere yet
    (sources / "named.yaml").write_text("source: web\n")
    discover = ("discover", "--url-env", "FOUND_URL", "--source")
    assert "already exists" in cli(*discover, "shop", "--write").err
    assert "already exists" in cli(*discover, "other", "--write").err
    assert "is a symbolic link" in cli(*discover, "other", "--write", "--overwrite").err
    assert "already described in" in cli(*discover, "web", "--write").err
    assert "already exists" in cli(*discover, "new", "--output", str(sources / "shop.yaml")).err
    assert not (project.parent / "elsewhere.yaml").exists()
    (sources / "other.yaml").unlink()
    (sources / "named.yaml").unlink()
    assert folder_of(project) == before


UNUSABLE = ["", "x" * 5000, "a/" + "x" * 300, "catalog/platform.yaml/x", "a\nb", "\x1b[31m", "a\0b"]


@pytest.mark.parametrize("path", UNUSABLE)
@pytest.mark.parametrize(
    "words",
    [
        ("rebuild", "--into"),
        ("restore", "warehouse", "--into"),
        ("restore", "files", "--into"),
        ("discover", "--source", "found", "--url-env", "FOUND_URL", "--output"),
    ],
    ids=" ".join,
)
def test_a_path_that_cannot_be_written_is_said_at_once(
    cli: Cli, project: Path, words: tuple[str, ...], path: str
) -> None:
    before = folder_of(project)
    result = cli(*words, path)
    if path == "" and words[1] == "files":  # the working folder: it is tried, and the audit trail has it
        assert result.code != 70
        assert {file for file in folder_of(project) if "_audit" not in str(file)} >= set(before)
    else:
        assert (result.code, words[-1] in result.err) == (2, True), result.err
        assert folder_of(project) == before


@pytest.mark.parametrize("root", UNUSABLE[1:])
def test_a_root_that_is_none(cli: Cli, project: Path, root: str) -> None:
    assert cli("status", "--root", root).code == 2


def test_a_guess_is_asked_about_until_somebody_confirms_it(cli: Cli, project: Path) -> None:
    shop = project / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text().replace("supplier_email: hash", "supplier_email: hash?"))
    line = next(n for n, text in enumerate(shop.read_text().splitlines(), 1) if "hash?" in text)
    where = f"catalog/sources/shop.yaml:{line}: tables.products.personal.supplier_email: is `hash?`, an unconfirmed guess"
    asked = cli("validate")
    assert (asked.code, f"question: {where}" in asked.err) == (0, True), asked.err
    document = json.loads(cli("validate", "--json").out)
    assert document["ok"] and document["mistakes"] == [] and document["questions"][0].startswith(where)
    strict = cli("validate", "--strict")
    assert (strict.code, strict.err.count(where)) == (2, 1)
    # it is in force as it stands
    assert load_catalog(project).source("shop").table("products").personal == {"supplier_email": "hash"}
    shop.write_text(shop.read_text().replace("hash?", "hash"))
    assert cli("validate", "--strict").code == 0
    shop.write_text(shop.read_text().replace("supplier_email: hash", "supplier_email: hide?"))
    assert "must be one of" in cli("validate").err
