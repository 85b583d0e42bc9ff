"""From a table's block in the catalog and its description by the source to the columns that land.

Here personal data is decided at the door: a treated column's clear value goes
into the expressions over what the source gives and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from data_platform.catalog import Table
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import (
    ConfigurationError,
    PersonalColumnUndeclared,
    TableMissing,
    UnsupportedType,
)
from data_platform.privacy.documents import Documents, parse_path, path_of, root_of
from data_platform.privacy.names import is_secret, of_column
from data_platform.privacy.seal import Place
from data_platform.privacy.treatments import expression, session_setup
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import Rule
from data_platform.sources.reading import ClearColumn, Described, LandedColumns, LandedFunction
from data_platform.sql import quoted
from data_platform.sync.sealed import Secrets, sealing, subject_sql
from data_platform.sync.shape import treated
from data_platform.tables import BATCH_ID, LOADED_AT, RULE_PREFIX, Column, Layout, Treatment

ROW_ID = "rowid"
"""By which the warehouse deletes what a batch replaces: a column of this name would hide it."""
DAYS = ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
"""The types that a partition column may land as."""


def land(table: Table, now: Described, today: str, secrets: Secrets) -> LandedColumns:
    """What lands of ``table``; ``today`` is the snapshot's UTC day.

    Raises TableMissing for a column the catalog names and the source lacks,
    PersonalColumnUndeclared, UnsupportedType; ConfigurationError where a column is hashed or sealed and there is no key.
    """
    check_columns(table, now)
    if now.replaces and table.strategy == "append":
        raise ConfigurationError(
            f"{table.id}: rows of {now.place} are replaced together by {', '.join(now.replaces)}, which `strategy:"
            " append` never does. Omit `strategy`, or set it to `replace`."
        )
    if now.refusal is not None:
        raise now.refusal
    columns: list[Column] = []
    expressions: list[str] = []
    functions: list[LandedFunction] = []
    seals = sealing(table, secrets) if table.seals else None
    within: set[str] = set()
    for clear in now.columns:
        treatment, paths = personal_of(clear, table, now)
        if paths:
            if changed := {path: how for path, how in paths.items() if how != "keep"}:
                within.add(clear.name)
                place = partial(Place, str(table.id), clear.name)
                hashed = "hash" in changed.values()
                documents = Documents(changed, secrets.hash_key() if hashed else None, place)
                name = f"treated_{table.id.table}_{len(columns)}"
                if "seal" in changed.values() and seals is not None:
                    functions.append(LandedFunction(name, seals.within(documents), 2))
                    expressions.append(f"{name}({clear.text}, {subject_sql(table, now)})::{clear.type}")
                else:
                    functions.append(LandedFunction(name, documents.treated))
                    expressions.append(f"{name}({clear.text})::{clear.type}")
            else:  # all of it lands byte for byte
                expressions.append(clear.value)
            source_type = (
                clear.source_type if clear.whole else treated(clear.source_type, _told(table, paths))
            )
            columns.append(Column(clear.name, clear.type, source_type, clear.nullable))
        elif treatment == "keep":
            expressions.append(clear.value)
            columns.append(Column(clear.name, clear.type, clear.source_type, clear.nullable))
        else:
            if treatment == "seal" and seals is not None:
                name = f"sealed_{table.id.table}_{len(columns)}"
                functions.append(LandedFunction(name, seals.column(clear.name), 2))
                expressions.append(f"{name}({clear.text}, {subject_sql(table, now)})")
            else:
                expressions.append(expression(clear.name, treatment, clear.text))
            source_type = treated(clear.source_type, _how(table, treatment))
            columns.append(Column(clear.name, "VARCHAR", source_type, clear.nullable))
    for rule, sql in _rules_at_the_door(table, {c.name: c for c in now.columns}, today):
        expressions.append(sql)
        columns.append(Column(rule.landed_column, "BOOLEAN", f"rule: {rule.text}"))
    for own in now.own:
        expressions.append(quoted(own.name))
        columns.append(own)
    hashes = "hash" in table.treatments.values()
    return LandedColumns(
        tuple(columns),
        tuple(expressions),
        frozenset(table.treated) | within,
        tuple(session_setup(secrets.hash_key())) if hashes else (),
        tuple(functions),
    )


def personal_of(
    clear: ClearColumn, table: Table, now: Described
) -> tuple[Treatment, Mapping[tuple[str, ...], Treatment]]:
    """The treatment of a column as a whole, and those of values within it by their paths from it."""
    at = _place(clear)
    whole: Treatment = "keep"
    within: dict[tuple[str, ...], Treatment] = {}
    for key, treatment in table.treatments.items():
        path = path_of(key, now.column_names)
        if at and path == at[: len(path)]:
            whole = treatment if whole == "keep" else whole
        elif path[: len(at)] == at:
            within[path[len(at) :]] = treatment
    return whole, within


def _place(clear: ClearColumn) -> tuple[str, ...]:
    """Where a column's value is in the row, by the keys that lead to it."""
    if clear.whole:
        return ()
    return (clear.name,) if clear.path is None else parse_path(clear.path)


def _told(table: Table, paths: Mapping[tuple[str, ...], Treatment]) -> str:
    return ", ".join(
        f"{'.'.join(path)} {_how(table, treatment)}" for path, treatment in sorted(paths.items())
    )


def _how(table: Table, treatment: Treatment) -> str:
    """A treatment in words. Whose key a value is sealed under is part of it: another subject makes other texts."""
    return f"seal by {table.subject}" if treatment == "seal" else treatment


def layout(table: Table, now: Described) -> Layout:
    """How the source's rows and the landed ones are told apart alike: by the key columns that both engines can
    fingerprint, clear ones of a type with one text form."""
    known = {c.name: c for c in now.columns}
    key = tuple(
        name
        for name in table.key
        if table.treatment(name) == "keep" and name in known and known[name].one_text
    )
    return Layout(key, table.partition, table.timezone, now.version)


def key_enforced(table: Table, now: Described) -> bool:
    """Whether the source itself keeps the landed key unique and not null in every snapshot."""
    clear = all(table.treatment(column) == "keep" for column in table.key)
    return clear and any(unique <= set(table.key) for unique in now.enforced_keys)


def check_columns(table: Table, now: Described) -> None:
    where = f"{table.id} ({now.place})"
    there = set(now.column_names)
    named = _named(table, now, there)
    missing = [
        f"{column} (in `{block}`{_renamed(now, column)})"
        for block, wanted in named.items()
        for column in wanted
        if column not in there
    ]
    if missing:
        raise TableMissing(
            f"{where} has no column {', '.join(dict.fromkeys(missing))}. Correct the catalog, or the column's name"
            " at the source"
            + ("; declare the type (`types`) of a field that no record has yet" if now.from_rows else "")
            + (f"; then run `data-platform sync --refresh {table.id}`" if now.landed_before else "")
            + f". It has: {', '.join(sorted(there))}."
        )
    if table.partition:
        column = now.column(table.partition)
        if column and column.type not in DAYS:
            raise UnsupportedType(
                f"{where}: the partition column {table.partition} is {column.source_type};"
                " daily partitions need a date or a timestamp."
            )
    _check_paths(table, now, where)
    _check_declared(table, now, where)
    names = {column.name for column in now.columns}
    own = (BATCH_ID, LOADED_AT, ROW_ID, *(column.name for column in now.own))
    reserved = [n for n in names if n.lower() in own or n.lower().startswith(RULE_PREFIX)]
    folded: dict[str, str] = {}
    for name in sorted(names):
        if name.lower() in folded:
            reserved.append(f"{name} (differs from {folded[name.lower()]} in case only)")
        folded[name.lower()] = name
    if reserved:
        raise UnsupportedType(
            f"{where} has columns whose names the warehouse cannot hold: {', '.join(sorted(reserved))}."
            " Rename them at the source, or read a view that does."
        )


def _named(table: Table, now: Described, there: Collection[str]) -> Mapping[str, Collection[str]]:
    """By its part of the block, the columns that must be there."""
    if now.from_rows and not now.columns:
        return {}  # none is known before the first rows
    needed = {
        "key": table.key,
        "cursor": [table.cursor] if table.cursor else [],
        "partition": [table.partition] if table.partition else [],
        "subject": [table.subject.column] if table.subject else [],
        "cluster": table.cluster,
        "rules": [column for rule in table.rules for column in rule.columns],
    }
    if now.from_rows:  # the rows of another day may have what these have not
        return needed
    return {
        "only": table.only,
        **needed,
        "personal": [_column_of(key, there) for key in table.personal],
        "as": table.settings.as_text,
        "columns": table.columns,
    }


def _column_of(key: str, columns: Collection[str]) -> str:
    """The column that a key of ``personal`` is about, itself or within."""
    return key if key in columns else root_of(key) or key


def _check_paths(table: Table, now: Described, where: str) -> None:
    """Paths lead into documents, whose column has no other treatment."""
    for column in now.columns:
        treatment, within = personal_of(column, table, now)
        paths = ", ".join(".".join((column.path or column.name, *path)) for path in within)
        if paths and column.type not in ("JSON", ""):  # none is known to who only looks
            raise UnsupportedType(
                f"{where}: `personal` names {paths}, but {column.name} is {column.source_type}, which is not JSON."
                f" Declare the whole column {column.name}."
            )
        if paths and treatment != "keep":
            raise UnsupportedType(
                f"{where}: `personal` declares both the whole column {column.name} and {paths} within it. Remove one of"
                " the two."
            )


def _renamed(now: Described, column: str) -> str:
    """What is to be said of a column that has another name than when it was read."""
    return f"; it is called {now.renamed[column]} now" if column in now.renamed else ""


def _check_declared(table: Table, now: Described, where: str) -> None:
    """What looks personal or secret by its name, of columns and of values within documents, is declared."""
    declared = {path_of(key, now.column_names) for key in table.personal}
    undeclared = {
        column.name: reason
        for column in sorted(now.columns, key=lambda c: c.name)
        if not column.whole
        and not any(_on_one_way(path, _place(column)) for path in declared)
        and (reason := _looks(column, now.name))
    }
    for path, base in sorted(now.paths.items()):
        at = parse_path(path)
        known = any(at[: len(prefix)] == prefix for prefix in declared)
        if not known and (reason := of_column(at[-1], now.name, base, None)):
            undeclared[path] = reason
    if not undeclared:
        return
    listed = ", ".join(f"{name} (looks like {reason})" for name, reason in undeclared.items())
    secrets = any(map(is_secret, undeclared.values()))
    raise PersonalColumnUndeclared(
        f"{where} has columns that look like secrets or personal data and are not declared: {listed}. Nothing was"
        f" read. Under `personal:` of {table.id}, choose a treatment for each: hash, seal, mask or redact, `keep` if it"
        " may land unchanged, or `not_personal` if only its name looks so"
        + ("; redact secrets, or omit them with `only`." if secrets else ".")
    )


def _looks(column: ClearColumn, table: str) -> str | None:
    """Why a column looks personal: by its own name, or by that of the value it takes from within a record."""
    names = (column.name, _place(column)[-1])
    reasons = (of_column(name, table, _base(column), column.refers) for name in dict.fromkeys(names))
    return next(filter(None, reasons), None)


def _on_one_way(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a path leads to the other, or further."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _base(column: ClearColumn) -> str | None:
    """A document is asked about whatever its source calls the type."""
    return column.base or ("json" if column.type == "JSON" else None)


def _rules_at_the_door(
    table: Table, columns: dict[str, ClearColumn], today: str
) -> Iterator[tuple[Rule, str]]:
    """Row rules on treated columns, which only the clear value can answer, as boolean columns."""

    def column_sql(name: str) -> str:
        if table.treatment(name) == "keep":
            return f"({columns[name].value})"
        return f"CAST({columns[name].text} AS {columns[name].type})"

    for rule in table.rules:
        if rule.lands(table.treatments):
            yield rule, condition(rule, DIALECT, column_sql, today=DIALECT.date(today))
