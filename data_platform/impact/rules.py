"""What the rules and the other checks of a table or a model lean on: the columns that they name, and the tables that they look into."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_platform.column_lineage import ColumnOf
from data_platform.impact.graph import Dependent, Name
from data_platform.quality.kinds import wanted
from data_platform.quality.rules import Rule
from data_platform.quality.rules.sql import query_tables
from data_platform.tables import TableId


def of_rules(
    where: Name, asset: str, rules: Sequence[Rule], partition: str | None = None
) -> Iterator[Dependent]:
    """``where`` is the relation that the rules are on. A rule that names no column, such as one on the number of rows, leans on the
    whole of it."""
    for rule in rules:
        text = f"{rule.text} {rule.severity} {'blocking' if rule.blocking else ''}"
        named = [*rule.columns, *([partition] if rule.per_day and partition else [])]
        on = {ColumnOf(*where, column) for column in named}
        whole: set[Name] = set() if on else {where}
        if rule.other is not None:
            source, table, column = rule.other
            on.add(ColumnOf(TableId(source, table).raw_schema if source else where[0], table, column))
        if rule.sql is not None and rule.form != "sql":
            whole |= {(schema.lower(), name.lower()) for schema, name in query_tables(rule.sql)}
        yield Dependent("check", f"{asset}: {rule.name}", frozenset(on), frozenset(whole), text)


def of_checks(where: Name, asset: str, checks: Mapping[str, Any]) -> Iterator[Dependent]:
    """The checks that are no rule. One that names no column leans on the whole relation."""
    for kind, settings in wanted(checks):
        on = frozenset(ColumnOf(*where, column) for column in kind.columns(settings).values())
        whole = frozenset[Name]() if on else frozenset({where})
        text = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
        yield Dependent("check", f"{asset}: {kind.name}", on, whole, text)
