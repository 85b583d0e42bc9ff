"""What is published and documented of the catalog is current."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from data_platform.catalog import Catalog, json_schemas, load_catalog
from data_platform.catalog.schema import node_at, render_json_schemas, source_schema
from data_platform.dbt_sources import render_dbt_sources
from data_platform.sources.kinds import MODULES
from data_platform_tests.catalog.documents import write

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_schemas_are_current() -> None:
    for path, text in render_json_schemas().items():
        assert (ROOT / path).read_text() == text, f"{path} is old: data-platform validate --write"
    published = {path.name for path in (ROOT / "catalog/schema").iterdir()}
    assert published == set(json_schemas())


def test_the_committed_catalog_follows_the_published_schemas() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for schema, files in {
        "platform.schema.json": [ROOT / "catalog/platform.yaml"],
        "source.schema.json": sorted((ROOT / "catalog/sources").glob("*.yaml")),
        "subjects.schema.json": [ROOT / "catalog/subjects.yaml"],
        "models.schema.json": sorted((ROOT / "catalog/models").glob("*.yaml")),
    }.items():
        jsonschema.Draft202012Validator.check_schema(json_schemas()[schema])
        for file in files:
            data = yaml.load(
                file.read_text(), Loader=yaml.BaseLoader
            )  # numbers stay text: types are not the point
            errors = [
                error
                for error in jsonschema.Draft202012Validator(json_schemas()[schema]).iter_errors(data)
                if error.validator in ("additionalProperties", "required", "enum", "pattern")
            ]
            assert errors == []


def key_paths(schema: Mapping[str, Any], steps: tuple[str | int, ...] = (), path: str = "") -> Iterator[str]:
    """Every key that a file may hold, as ``tables.<name>.key``; ``[]`` means the items of a list."""
    node = node_at(schema, steps)
    for key in node.get("properties", {}):
        yield f"{path}{key}"
        yield from key_paths(schema, (*steps, key), f"{path}{key}.")
    if "items" in node:
        yield from key_paths(schema, (*steps, 0), f"{path[:-1]}[].")
    if "patternProperties" in node or isinstance(node.get("additionalProperties"), Mapping):
        yield from key_paths(schema, (*steps, "x"), f"{path}<name>.")


SCHEMAS = {
    "platform.schema.json": [json_schemas()["platform.schema.json"]],
    "source.schema.json": [source_schema(kind) for kind in MODULES],
    "models.schema.json": [json_schemas()["models.schema.json"]],
}
"""The file of a source may hold what its kind's schema says."""


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_has_a_description_for_editors(name: str) -> None:
    for schema in SCHEMAS[name]:
        for path in key_paths(schema):
            steps: list[str | int] = []
            for step in path.split("."):
                steps += [step.removesuffix("[]"), 0] if step.endswith("[]") else [step]
            assert node_at(schema, tuple(steps)).get("description"), f"{name}: {path}"


STORES = r"\.(backups\.(store|copies\.<name>|archive\.cold\.store)|audit\.(store|second))\."
BUCKET = ".barman_cloud.store."


def test_every_key_is_documented_and_nothing_else() -> None:
    own: set[str] = set()
    sections = re.split(r"^## ", (ROOT / "docs/catalog.md").read_text(), flags=re.M)
    for title, schema in (
        ("catalog/platform.yaml", "platform.schema.json"),
        ("catalog/sources/*.yaml", "source.schema.json"),
        ("catalog/models/*.yaml", "models.schema.json"),
    ):
        (section,) = [section for section in sections if section.startswith(title)]
        documented = re.findall(r"^\| `([^`]+)` \|", section, flags=re.M)
        paths = {path for one in SCHEMAS[schema] for path in key_paths(one)}
        backups = {path for path in paths if re.search(STORES, path)}
        stores = {re.sub(STORES, ".landing.", path) for path in backups}
        assert stores <= paths, "a store's keys are the same everywhere, and documented once"
        buckets = {path for path in paths if BUCKET in path}
        own |= {path.split(".landing.")[1] for path in paths if ".landing." in path}
        assert {path.split(BUCKET)[1] for path in buckets} <= own, (
            "a program's bucket is a store like the others"
        )
        endpoints = {path for path in paths if ".endpoint.paginator." in path}
        paginators = {path.replace("tables.<name>.endpoint.", "connection.") for path in endpoints}
        assert paginators <= paths, "a paginator's keys are the same everywhere, and documented once"
        assert sorted(documented) == sorted(paths - backups - endpoints - buckets)


def test_the_dbt_sources_are_current(catalog: Catalog) -> None:
    for path, text in render_dbt_sources(catalog).items():
        assert (ROOT / path).read_text() == text, f"{path} is old: data-platform validate --write"


def test_dbt_sources_survive_any_text(tmp_path: Path) -> None:
    tables = """\
  on:
    key: id
    description: "a: #b \\"c\\" {{ var('x') }} {% if %} ü"
    columns: {"Order Date": "when", no: "n"}
    personal: {email: hash, phone: keep}
"""
    ((path, text),) = render_dbt_sources(load_catalog(write(tmp_path, tables))).items()
    assert path == "dbt/models/staging/shop/_shop__sources.yml"
    source = yaml.safe_load(text)["sources"][0]
    (table,) = source["tables"]
    assert (source["name"], table["name"]) == ("shop", "on")
    for given in ("", "again_"):
        schema = jinja2.Template(source["schema"]).render(env_var=lambda name, default, given=given: given)
        assert schema == f"{given}raw_shop"
    assert table["config"] == {"meta": {"dagster": {"asset_key": ["raw", "shop", "on"]}}}
    described = "a: #b \"c\" {{ var('x') }} {% if %} ü"
    assert jinja2.Template(table["description"]).render() == described, "dbt renders it"
    columns = {column["name"]: column for column in table["columns"]}
    assert list(columns) == ["Order Date", "no", "email", "phone", "_batch_id", "_loaded_at"]
    assert columns["Order Date"]["quote"] is True
    assert columns["email"]["config"] == {"meta": {"personal": "hash", "privacy": "pseudonymous"}}
    assert "keyed hash" in columns["email"]["description"]
    assert "description" not in columns["phone"]
