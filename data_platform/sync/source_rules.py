"""Evaluates the rules of tables at their source, where the source knows SQL; keeps the failing rows in the warehouse.

Of a column whose clear values stay at the source, only counts leave it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from data_platform.catalog import Source, Table
from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform.privacy.documents import root_of
from data_platform.quality.at_source import AtSource
from data_platform.quality.evaluate import RuledRelation, RuleResult, evaluate_relation, not_evaluated
from data_platform.quality.evaluated import Evaluated
from data_platform.quality.failures import keep_failures, stale
from data_platform.sources.answering import Answers, Asked
from data_platform.sources.kinds import answers_of
from data_platform.sync.opening import opening_of
from data_platform.sync.platform import Platform
from data_platform.tables import TableId


def evaluate_at_source(
    platform: Platform,
    source: Source,
    tables: Sequence[Table],
    only: Mapping[TableId, Collection[str]] | None = None,
) -> dict[TableId, Evaluated]:
    """The result of each table of ``source`` that has rules there. ``only`` names the wanted rules by table. Nothing is raised:
    rules of a table that cannot be asked are not evaluated, which is no pass."""
    wanted = [table for table in tables if table.source_rules and (only is None or only.get(table.id))]
    if not wanted:
        return {}
    at = platform.clock().isoformat(timespec="seconds")
    by_id = {table.id: table for table in wanted}

    def chosen(table: TableId) -> Collection[str] | None:
        return None if only is None else only[table]

    try:
        answers = _answers(source)
        with answers.opened(opening_of(platform, source, wanted)) as answering:
            found = answering.ask(
                wanted,
                lambda table, asked: _ask(
                    asked, source_relation(source, by_id[table.id], answers), chosen(table.id)
                ),
            )
    except DataPlatformError as error:
        found = dict.fromkeys(by_id, error)
    return {id_: Evaluated(at, _results(by_id[id_], chosen(id_), one)) for id_, one in found.items()}


def keep_found_at_source(
    platform: Platform, source: Source, found: Mapping[TableId, Evaluated]
) -> dict[TableId, Evaluated]:
    """Keep the failing rows in ``quality.failures``, which is opened to be written only if it holds something else. That they cannot be
    kept changes nothing of what was found, so it is only said."""
    try:
        ruled = {id_: source_relation(source, source.table(id_.table), _answers(source)) for id_ in found}
        other = [id_ for id_, one in found.items() if any(rule.failures for rule in one.rules)]
        if platform.environment.warehouse.exists(platform.catalog.root):
            with platform.warehouse(read_only=True) as warehouse:
                other = [id_ for id_, one in found.items() if stale(warehouse, ruled[id_], one.rules)]
        if other:
            with platform.warehouse() as warehouse:
                for id_ in other:
                    at = datetime.fromisoformat(found[id_].at)
                    keep_failures(warehouse, ruled[id_], found[id_].rules, at)
    except DataPlatformError as error:
        return {id_: replace(one, not_kept=str(error)) for id_, one in found.items()}
    return dict(found)


def source_label(table: TableId) -> str:
    """The name of a table at its source in ``quality.failures``."""
    return f"source_{table.source}.{table.table}"


def source_relation(source: Source, table: Table, answers: Answers) -> RuledRelation:
    """A table at its source with its rules. Hidden are treated columns, and those that are not read."""
    schema, name = answers.place(table)
    treated = {column for key in table.treated for column in (key, root_of(key)) if column}
    tested = {column for rule in table.source_rules for column in rule.columns} | set(table.key)
    left_out = {column for column in tested if table.only and column not in table.only}
    relations = {other: answers.place(one) for other, one in source.tables.items()}
    at_source = AtSource(
        source_label(table.id), table.settings.place, frozenset(treated | left_out), relations=relations
    )
    return RuledRelation(
        *(schema, name, table.key, table.source_rules),
        partition=table.partition,
        timezone=table.timezone,
        source=at_source,
    )


def _answers(source: Source) -> Answers:
    answers = answers_of(source.kind)
    if answers is None:
        raise ConfigurationError(
            f"The source {source.name!r} knows no SQL, so no rule can be evaluated there."
        )
    return answers


def _ask(asked: Asked, ruled: RuledRelation, only: Collection[str] | None) -> list[RuleResult]:
    described = asked.describe(ruled.schema, ruled.name)
    if described and ruled.source:
        ruled = replace(ruled, source=replace(ruled.source, withheld=described[0].withheld))
    return evaluate_relation(asked, ruled, only=only)


def _results(
    table: Table, only: Collection[str] | None, found: list[RuleResult] | DataPlatformError
) -> tuple[RuleResult, ...]:
    if not isinstance(found, DataPlatformError):
        return tuple(found)
    rules = (rule for rule in table.source_rules if only is None or rule.name in only)
    return tuple(not_evaluated(rule, f"It cannot be evaluated at the source. {found}") for rule in rules)
