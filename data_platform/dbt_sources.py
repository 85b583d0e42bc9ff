"""Renders the catalog's tables as dbt sources, and what dbt leaves out of a source that the catalog does not have.

dbt reads the raw tables through these files. Dagster finds the asset of each source
by ``meta.dagster.asset_key``. ``data-platform validate --write`` writes the files.

What needs a source stands in a folder with its name, what needs two in a folder within the other's:
``models/marts/shop``, ``models/marts/shop/stripe``. Where the catalog has no such source, dbt does not read them
(``.dbtignore``). What a source only adds to asks the macro ``has_source``, which reads ``macros/catalog_tables.sql``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from data_platform.printable import yaml_quoted, yaml_scalar
from data_platform.privacy.classes import META, class_of, classed_columns, joined
from data_platform.privacy.consent.mart import render_properties, render_view
from data_platform.privacy.documents import root_of
from data_platform.tables import BATCH_ID, LOADED_AT

if TYPE_CHECKING:
    from data_platform.catalog import Catalog, Source, Table

MARK = "# Generated from catalog/sources by `data-platform validate --write`: change the catalog instead."
"""The first line of each file. A file without it was written by somebody else and is left alone."""
STAGING = "dbt/models/staging"
PREFIX = "{{ env_var('DATA_PLATFORM_SCHEMA_PREFIX', '') }}"
"""Before a schema's name, where another warehouse is the same one with other names (``macros/generate_schema_name.sql``)."""
CATALOG_TABLES = "dbt/macros/catalog_tables.sql"
CONSENT_PURPOSES = "dbt/macros/consent_purposes.sql"
CONSENTS = ("dbt/models/marts/consents.sql", "dbt/models/marts/consents.yml")
PEOPLE_MARK = (
    "Generated from catalog/subjects.yaml by `data-platform validate --write`: change the catalog instead."
)
IGNORED = "dbt/.dbtignore"
SOURCE_FOLDERS = ("models/**/{}/", "tests/**/{}/", "snapshots/**/{}/")
"""Below ``dbt/``, the folders of what needs a source, as patterns that dbt and git read alike."""

_LANDED_AS = {
    "hash": "Stored as a keyed hash: equal values have equal hashes.",
    "mask": "Stored masked: only a phone number's country code and last two digits.",
    "seal": "Stored sealed under the key of the person whom the row is about: `data-platform reveal` opens it.",
    "redact": "Stored redacted.",
}
_ADDED = {
    BATCH_ID: "Batch that loaded this version of the row.",
    LOADED_AT: "When that batch was committed to the landing store.",
}


def render_dbt_sources(catalog: Catalog) -> dict[str, str]:
    """One file for each source: path relative to the project root -> text."""
    return {sources_path(source.name): _render(source) for source in catalog.sources.values()}


def sources_path(source: str) -> str:
    return f"{STAGING}/{source}/_{source}__sources.yml"


def render_catalog_tables(catalog: Catalog) -> str:
    """The macro that tells dbt which tables the catalog has."""
    lines = [
        f"{{# {MARK.removeprefix('# ')}",
        "   The tables of each source: what `has_source` asks. #}",
        "{% macro catalog_tables() -%}",
        "    {{ return({",
    ]
    for source in catalog.sources.values():
        names = ", ".join(f"'{name}'" for name in source.tables)
        lines.append(f"        '{source.name}': [{names}],")
    return "\n".join([*lines, "    }) }}", "{%- endmacro %}"]) + "\n"


def render_consents(catalog: Catalog) -> dict[str, str]:
    """The view of consents, where the catalog has purposes, and the macro that tells dbt these: path relative to the project root ->
    text."""
    blocks = {name: one.consent for name, one in catalog.subjects.items() if one.consent is not None}
    known = {purpose: one.otherwise for block in blocks.values() for purpose, one in block.purposes.items()}
    lines = [
        f"{{# {PEOPLE_MARK}",
        "   What holds for a person who never answered, by purpose: what `consented` asks. #}",
        "{% macro consent_purposes() -%}",
        "    {{ return({",
        *(f"        '{purpose}': '{otherwise}'," for purpose, otherwise in sorted(known.items())),
    ]
    macro = "\n".join([*lines, "    }) }}", "{%- endmacro %}"]) + "\n"
    if not blocks:
        return {CONSENT_PURPOSES: macro}
    tables = {table.id: table for source in catalog.sources.values() for table in source.tables.values()}
    said = [
        class_of(tables[block.place.table].personal[block.place.column])
        for block in blocks.values()
        if block.place.column in tables[block.place.table].personal
    ]
    class_ = joined(one for one in said if one is not None)
    view, properties = CONSENTS
    return {
        CONSENT_PURPOSES: macro,
        view: render_view(blocks, PEOPLE_MARK),
        properties: render_properties(blocks, class_, PEOPLE_MARK),
    }


def render_ignored(absent: Iterable[str]) -> str:
    """``.dbtignore``: dbt reads nothing of the sources named."""
    lines = [MARK, "# Folders of sources that the catalog does not have: dbt reads nothing in them."]
    lines += [folder.format(name) for name in sorted(absent) for folder in SOURCE_FOLDERS]
    return "\n".join(lines) + "\n"


def absent_sources(catalog: Catalog) -> list[str]:
    """Sources that the dbt project has staging models of, and that neither the catalog nor a file written by hand
    declares."""
    found = []
    for folder in sorted(path for path in (catalog.root / STAGING).glob("*") if path.is_dir()):
        name = folder.name
        declared = catalog.root / sources_path(name)
        by_hand = declared.is_file() and not declared.read_text(encoding="utf-8").startswith(MARK)
        if name not in catalog.sources and not by_hand and _reads(folder, name):
            found.append(name)
    return found


def _reads(folder: Path, source: str) -> bool:
    """Whether a staging model in ``folder`` reads a table of the source."""
    asked = re.compile(rf"""\b(source|landed)\(\s*['"]{re.escape(source)}['"]""")
    return any(asked.search(path.read_text(encoding="utf-8")) for path in folder.glob(f"stg_{source}__*.sql"))


def of_source(node: Mapping[str, object], names: Collection[str]) -> bool:
    """Whether a node of dbt's manifest lies in a folder of one of the sources named."""
    return any(folder in names for folder in PurePosixPath(str(node["original_file_path"])).parts[1:-1])


def _render(source: Source) -> str:
    lines = [
        MARK,
        "version: 2",
        "",
        "sources:",
        f"  - name: {_word(source.name)}",
        f'    schema: "{PREFIX}raw_{source.name}"',
        *_description(source.description, "    "),
        "    tables:",
    ]
    for table in source.tables.values():
        lines += _table_lines(table)
    return "\n".join(lines) + "\n"


def _table_lines(table: Table) -> list[str]:
    key = f"[raw, {_word(table.id.source)}, {_word(table.id.table)}]"
    lines = [
        f"      - name: {_word(table.id.table)}",
        *_description(table.description, "        "),
        "        config:",
        f"          meta: {{dagster: {{asset_key: {key}}}}}",
        "        columns:",
    ]
    named = dict(table.columns) | {
        column: "" for column in table.personal if column not in table.columns and not root_of(column)
    }
    classed = classed_columns(table.personal, named)
    for column, description in named.items():
        treatment = table.treatment(column)
        if treatment != "keep":
            description = f"{description} {_LANDED_AS[treatment]}".strip()
        lines += _column_lines(column, description)
        held: dict[str, str] = {"personal": treatment} if column in table.personal else {}
        if found := joined(classed.get(column, {}).values()):
            held[META] = found
        if held:
            words = ", ".join(f"{key}: {value}" for key, value in held.items())
            lines += ["            config:", f"              meta: {{{words}}}"]
    for column, description in _ADDED.items():
        lines += _column_lines(column, description)
    return lines


def _column_lines(column: str, description: str) -> list[str]:
    lines = [f"          - name: {_word(column)}"]
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", column):
        lines.append("            quote: true")
    return lines + _description(description, "            ")


def _description(text: str, indent: str) -> list[str]:
    return [f"{indent}description: {_text(text)}"] if text else []


def _word(name: str) -> str:
    return yaml_scalar(_rendered_as(name))


def _text(text: str) -> str:
    return yaml_quoted(_rendered_as(text))


def _rendered_as(text: str) -> str:
    """Escape ``text`` so that dbt, which renders names and descriptions with Jinja, yields it unchanged."""
    return re.sub(r"\{(?=[{%#])", "{{ '{' }}", text)
