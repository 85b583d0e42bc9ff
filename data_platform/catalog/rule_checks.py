"""Checks of the rules of tables and models that the rule alone cannot answer: names, treated columns, engines, other tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from data_platform.catalog.checked_block import CheckedBlock
from data_platform.catalog.files import TableBlock
from data_platform.catalog.mistakes import Mistake, Report, did_you_mean, path_text
from data_platform.catalog.reads import Read
from data_platform.catalog.source import Source
from data_platform.catalog.yaml_reader import Path
from data_platform.errors import UnsupportedExpression
from data_platform.quality.checking import ChoosyKind
from data_platform.quality.kinds import wanted
from data_platform.quality.rule_groups import check_fit
from data_platform.quality.rules import Rule
from data_platform.quality.rules.sql import query_tables
from data_platform.sources.kind import Kind
from data_platform.sources.kinds import answers_of
from data_platform.tables import TableId
from data_platform.warehouses import WarehouseConfig
from data_platform.warehouses.dialect import Dialect

AT_SOURCE = "source_rules"
_RAW = "raw_"


def check_rules(block: TableBlock, report: Report, base: Path) -> None:
    placed = list(_placed(block, report, base))
    check_names(placed, report, base)
    for rule, position in placed:
        path = (*base, "rules", position)
        if (column := rule.unclear(block.treatments)) is not None:
            report.add(
                path,
                f"tests `{column}`, which is treated as {block.treatments[column]} under `personal`. Only its treated values are"
                " in the warehouse, and they cannot answer this rule; test a column that lands in clear",
            )
        if rule.per_day and block.partition is None:
            report.add(
                path,
                "is tested `per day`, and the table has no `partition`; name one, or leave `per day` out",
            )


def check_names(placed: Iterable[tuple[Rule, int]], report: Report, base: Path, key: str = "rules") -> None:
    """No two rules have one name."""
    seen: dict[str, str] = {}
    for rule, position in placed:
        if rule.name in seen:
            same = seen[rule.name] == rule.text
            report.add(
                (*base, key, position),
                "appears twice in this table; keep one of the two"
                if same
                else f"has the same name as another rule of this table, {rule.name}; give it a `name` of its own",
            )
        seen.setdefault(rule.name, rule.text)


def check_rules_fit(
    blocks: Mapping[str, TableBlock], warehouses: Mapping[str, WarehouseConfig], report: Report
) -> None:
    """Check that the warehouse of each environment, by name, can test every rule that is tested there."""
    for table, block in blocks.items():
        tested = [
            one for one in _placed(block, report, ("tables", table)) if not one[0].lands(block.treatments)
        ]
        check_fits(tested, warehouses, report, ("tables", table))
        check_kinds_fit(block, warehouses, report, ("tables", table))


def check_source_rules(
    table: str, block: TableBlock, source: str, kind: Kind, blocks: Mapping[str, TableBlock], report: Report
) -> None:
    """Check that the source, of the tables ``blocks``, can answer every rule of one table that is to be evaluated there."""
    base = ("tables", table)
    answers = answers_of(kind.name)
    if answers is None:
        report.add(
            (*base, AT_SOURCE),
            f"are evaluated by the source in SQL, and the kind {kind.title} knows none. Move them to `rules`, which are"
            " evaluated in the warehouse",
        )
        return
    placed = list(_placed(block, report, base, AT_SOURCE))
    check_names(placed, report, base, AT_SOURCE)
    for rule, position in placed:
        problem = _source_problem(rule, block, source, blocks)
        if problem is None:
            try:
                check_fit(rule, answers.dialect)
            except UnsupportedExpression as error:
                problem = f"cannot be tested at a source of the kind {kind.title}: {error}"
        if problem is not None:
            report.add((*base, AT_SOURCE, position), problem)


def _source_problem(
    rule: Rule, block: TableBlock, source: str, blocks: Mapping[str, TableBlock]
) -> str | None:
    if rule.blocking:
        return "is `blocking`, and nothing is built from the table at the source. Leave `blocking` out, or move the rule to `rules`"
    if rule.form == "change":
        return "compares two loads, and a source has none. Move it to `rules`"
    if rule.per_day and block.partition is None:
        return "is tested `per day`, and the table has no `partition`; name one, or leave `per day` out"
    if rule.other is None:
        return None
    named, table, column = rule.other
    if named not in ("", source):
        return f"references a table of the source {named}, which this one cannot see. Move it to `rules`"
    if table not in blocks:
        return f"references {table}, which is no table of this file.{did_you_mean(table, blocks)}"
    if blocks[table].only and column not in blocks[table].only:
        return f"references {table}.{column}, which is not read because `only` leaves it out"
    return None


def check_fits(
    placed: Collection[tuple[Rule, int]],
    warehouses: Mapping[str, WarehouseConfig],
    report: Report,
    base: Path,
) -> None:
    for rule, position in placed:
        for environment, dialect in _dialects(warehouses).items():
            try:
                check_fit(rule, dialect)
            except UnsupportedExpression as error:
                report.add(
                    (*base, "rules", position),
                    f"cannot be tested in the warehouse of the environment {environment}: {error}",
                )


def check_kinds_fit(
    block: CheckedBlock,
    warehouses: Mapping[str, WarehouseConfig],
    report: Report,
    base: Path,
    *,
    of_model: bool = False,
) -> None:
    """Check that the checks of ``block`` that are no rule fit it, and the warehouse of each environment."""
    for kind, settings in wanted(block.checks):
        if isinstance(kind, ChoosyKind):
            for path, problem in kind.unfit(settings, _dialects(warehouses), of_model):
                report.add((*base, kind.name, *path), problem)


def _dialects(warehouses: Mapping[str, WarehouseConfig]) -> dict[str, Dialect]:
    """One environment of each kind of warehouse."""
    return dict({config.kind: (name, config.dialect) for name, config in warehouses.items()}.values())


def check_references(
    sources: dict[str, Source], ruled: Mapping[TableId, Read], mistakes: list[Mistake]
) -> None:
    """Report rules that name a table or a column which the catalog does not have, and take their sources out of ``sources``."""
    wrong: set[str] = set()
    for id_, (table, report) in ruled.items():
        for position, rule in enumerate(table.rules):
            problem = reference_problem(rule, id_, table.treatments, sources)
            if problem is not None and not sources[id_.source].optional:
                base = ("tables", id_.table, "rules", position)
                at = report.document.line(base), path_text(report.document.written(base))
                mistakes.append(Mistake(report.file, *at, problem))
                wrong.add(id_.source)
    for source in wrong:
        del sources[source]


def reference_problem(
    rule: Rule, own: TableId | None, personal: Mapping[str, str], sources: Mapping[str, Source]
) -> str | None:
    """What is wrong with the tables that a rule names. ``own`` is its table, None for a model, whose neighbours are not known
    here."""
    known = {table.id: table for source in sources.values() for table in source.tables.values()}
    if rule.sql is not None and rule.form != "sql":
        raw = {id_.raw_name for id_ in known}
        for schema, name in query_tables(rule.sql):
            if schema.startswith(_RAW) and f"{schema}.{name}" not in raw:
                return f"reads {schema}.{name}, which is no table of the catalog.{did_you_mean(f'{schema}.{name}', raw)}"
    if rule.other is None or (own is None and not rule.other[0]):
        return None
    source, name, column = rule.other
    other = TableId(source or (own.source if own else ""), name)
    if other not in known:
        return f"references {other}, which is no table of the catalog.{did_you_mean(str(other), map(str, known))}"
    table = known[other]
    if table.only and column not in table.only:
        return f"references {other}.{column}, which is not read because `only` leaves it out"
    mine, theirs = personal.get(rule.columns[0], "keep"), table.treatment(column)
    if (own is not None and mine != theirs) or theirs not in ("keep", "hash"):
        return f"compares `{rule.columns[0]}` ({mine}) with {other}.{column} ({theirs}): both must land in clear, or both as hash"
    return None


def _placed(block: TableBlock, report: Report, base: Path, key: str = "rules") -> Iterator[tuple[Rule, int]]:
    """Each rule and its position in the file. It differs from the position in ``block`` if a rule was left out."""
    rules = block.rules if key == "rules" else block.source_rules
    positions = [
        n for n in range(len(rules) + _count(report, (*base, key))) if not report.has((*base, key, n))
    ]
    return zip(rules, positions, strict=False)


def _count(report: Report, rules: Path) -> int:
    return sum(path[: len(rules)] == rules for path in report.mistakes) if report.has(rules) else 0
