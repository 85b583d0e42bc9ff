"""Looks for personal data that nobody declared: in a sample of each text column's values, and in the names of models' columns.

No value leaves this module, nor a key of a document that is not a plain word: keys may be values of a person too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_platform.catalog import Catalog
from data_platform.errors import DataPlatformError
from data_platform.governance.classes import Classes
from data_platform.printable import printable
from data_platform.privacy.classes import Path
from data_platform.privacy.names import of_name
from data_platform.privacy.patterns import found
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.dialect import relation

VALUES_MAX = 200
"""Of a column: values that differ, chosen by their hashes, so that another look at the same rows sees the same ones."""
DOCUMENT_MAX = 1_000_000
_TEXTS = re.compile(r"(N?VAR)?CHAR|CHARACTER|TEXT|STRING|JSON|SUPER|VARIANT", re.I)
"""How the types of texts and documents begin, in any engine."""
_OWN = "_"
"""Columns of the platform's own begin with it."""
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z_-]{0,30}")
FREE_TEXT = "free text"


@dataclass(frozen=True, slots=True)
class Finding:
    """``column`` may be a path. ``values`` of ``sampled`` hold ``what``; both are 0 where the name alone says so."""

    column: str
    what: str
    values: int = 0
    sampled: int = 0

    @property
    def text(self) -> str:
        if not self.sampled:
            return f"{self.column} is named like {self.what}"
        return f"{self.column} holds {self.what} ({self.values} of {self.sampled} values)"


@dataclass(frozen=True, slots=True)
class Scanned:
    """``findings`` are by relation, ``failed`` says of which relations nothing is known and why; ``relations`` were looked at."""

    findings: tuple[tuple[str, Finding], ...]
    failed: tuple[str, ...]
    relations: int


def scan_all(warehouse: Warehouse, catalog: Catalog, classes: Classes) -> Scanned:
    """The raw tables of the catalog, and the models that people read (``privacy: declared_in:``)."""
    raw = {
        table.id.raw_name.lower(): table
        for source in catalog.sources.values()
        for table in source.tables.values()
    }
    wanted = {one.lower() for one in catalog.privacy.declared_in}
    findings: list[tuple[str, Finding]] = []
    failed: list[str] = []
    number = 0
    for at in sorted(warehouse.describe(), key=lambda one: (one.schema, one.name)):
        label = f"{at.schema}.{at.name}"
        table = raw.get(label.lower())
        if table is None and not {at.schema.lower(), label.lower()} & wanted:
            continue
        number += 1
        try:
            # a raw table's names were judged before anything of it was read
            found = scan(warehouse, at, classes, names=table is None)
            findings += [(printable(label), one) for one in found]
        except DataPlatformError as error:
            failed.append(f"{printable(label)}: {error}")
    return Scanned(tuple(findings), tuple(failed), number)


def scan(warehouse: Warehouse, at: Relation, classes: Classes, *, names: bool) -> list[Finding]:
    """What a relation's columns seem to hold of people, about which neither the catalog nor a model says anything. ``names``: the
    columns' names are judged too."""
    declared = classes.declared_at(at.schema, at.name)
    open_ = [
        (name, type_)
        for name, type_ in at.columns
        if () not in declared.get(name.lower(), ()) and not name.startswith(_OWN)
    ]
    findings = list(
        _by_values(warehouse, at, [name for name, type_ in open_ if _TEXTS.match(type_)], declared)
    )
    seen = {one.column for one in findings}
    for name, _ in open_ if names else ():
        looks = of_name(name, at.name)
        if looks is not None and looks != FREE_TEXT and name.lower() not in declared and name not in seen:
            findings.append(Finding(printable(name), looks))
    return findings


def _by_values(
    warehouse: Warehouse, at: Relation, columns: Sequence[str], declared: Mapping[str, Collection[Path]]
) -> Iterator[Finding]:
    if not columns:
        return
    held: dict[str, list[str]] = {name: [] for name in columns}
    for number, value in warehouse.query(_query(warehouse, at, columns)).rows:
        held[columns[int(number)]].append(str(value))
    for name, values in held.items():
        for path, texts in _texts(values, declared.get(name.lower(), ())).items():
            label = printable(".".join((name, *path)))
            for what, count in found(texts).items():
                yield Finding(label, what, count, len(texts))


def _query(warehouse: Warehouse, at: Relation, columns: Sequence[str]) -> str:
    """A number of the column and a value, at most ``VALUES_MAX`` of each."""
    dialect = warehouse.dialect
    source = relation(dialect, at.schema, at.name)
    parts = []
    for number, name in enumerate(columns):
        column = dialect.quote(name)
        values = f"SELECT DISTINCT {dialect.try_cast(column, 'text')} AS v FROM {source} WHERE {column} IS NOT NULL"
        parts.append(
            f"SELECT n, v FROM (SELECT {number} AS n, v FROM ({values}) d{number} WHERE v IS NOT NULL"
            f" ORDER BY {dialect.hashed('v')} LIMIT {VALUES_MAX}) s{number}"
        )
    return " UNION ALL ".join(parts)


def _texts(values: Sequence[str], declared: Collection[Path]) -> dict[Path, list[str]]:
    """The texts of a column by path, its documents' without the paths ``declared``."""
    held: dict[Path, list[str]] = {}
    for value in values:
        document = _document(value)
        if document is None:
            held.setdefault((), []).append(value)
        else:
            for path, text in _leaves(document, (), declared):
                held.setdefault(path, []).append(text)
    return held


def _document(value: str) -> Any:
    if value.lstrip()[:1] not in ("{", "[") or len(value) > DOCUMENT_MAX:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _leaves(node: Any, path: Path, declared: Collection[Path]) -> Iterator[tuple[Path, str]]:
    if path and path in declared:
        return
    if isinstance(node, dict):
        for key, below in node.items():
            yield from (
                _leaves(below, (*path, key), declared)
                if _PLAIN_KEY.fullmatch(key)
                else _odd(key, below, path)
            )
    elif isinstance(node, list):
        for below in node:
            yield from _leaves(below, path, declared)
    elif isinstance(node, str):
        yield path, node


def _odd(key: str, below: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """A key that may be a value itself is one, and is not named."""
    yield (*path, "*"), key
    yield from _leaves(below, (*path, "*"), ())
