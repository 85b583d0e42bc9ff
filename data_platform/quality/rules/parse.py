"""A rule from its YAML: a line, or a mapping with what a line cannot say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from data_platform.quality.rules import sql
from data_platform.quality.rules.model import FORMS, Rule
from data_platform.quality.rules.rows import parse_row
from data_platform.quality.rules.tables import parse_table
from data_platform.quality.rules.values import NAME_LENGTH_MAX, share, slug_of_text

TEXT_LENGTH_MAX = 10_000
KEYS = ("rule", "sql", "query", "where", "name", "blocking", "severity", "owner", "allow", "allow_subquery")
OWNER = r"^([A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}|team:[A-Za-z0-9_.-]+)$"
_TEXTS = ("rule", "sql", "query")


def parse_rule(rule: str | Mapping[str, Any]) -> Rule:
    """A rule from its YAML: a line of text, or a mapping with one of ``rule``, ``sql`` and ``query`` and, optionally, the
    other ``KEYS``.

    Raises ValueError with what to write instead; values are never part of the message.
    """
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        return _parse_text(rule)
    if not isinstance(rule, Mapping):
        raise ValueError(f"a rule is a line of text such as {FORMS}, or a mapping with the key `rule`")
    unknown = sorted(str(key) for key in rule if key not in KEYS)
    if unknown:
        raise ValueError(
            f"unknown key {', '.join(unknown)}{_near(unknown[0])}; a rule has: {', '.join(KEYS)}"
        )
    given = [key for key in _TEXTS if rule.get(key) is not None]
    if len(given) > 1:
        raise ValueError(f"has {' and '.join(f'`{key}`' for key in given)}; keep one of them")
    if not given or not isinstance(rule[given[0]], str):
        raise ValueError("the key `rule` must hold the rule's text, such as `revenue >= 0`")
    parsed = _parsed(given[0], rule)
    return _limited(_named(_treated(parsed, rule), rule.get("name")), rule)


def _parsed(key: str, rule: Mapping[str, Any]) -> Rule:
    text, where, subqueries = rule[key].strip(), rule.get("where"), rule.get("allow_subquery", False)
    if not isinstance(subqueries, bool):
        raise ValueError("`allow_subquery` must be true or false")
    if key == "query":
        if where is not None:
            raise ValueError("`where` belongs into the query itself")
        _check_length(text)
        sql.check_query(text)
        return Rule(text, slug_of_text(f"query {text}"), (), "table", "query", sql=text)
    if key == "sql":
        _check_length(text)
        columns = sql.condition_columns(text, subqueries=subqueries)
        if not columns:
            raise ValueError("names no column of the table, so it is the same for every row")
        parsed = Rule(text, slug_of_text(text), columns, "row", "sql", sql=text, subqueries=subqueries)
    else:
        parsed = _parse_text(text)
    return parsed if where is None else _conditional(parsed, where, subqueries)


def _conditional(rule: Rule, where: Any, subqueries: bool) -> Rule:
    if not isinstance(where, str):
        raise ValueError("`where` must be an SQL condition, such as status = 'paid'")
    if rule.form == "change":
        raise ValueError("row_count_change() counts all rows; leave `where` out")
    _check_length(where)
    try:
        named = sql.condition_columns(where.strip(), subqueries=subqueries)
    except ValueError as error:
        raise ValueError(f"`where` {error}") from None
    text = f"{rule.text} where {where.strip()}"
    columns = tuple(dict.fromkeys([*rule.columns, *named]))
    return replace(
        rule, text=text, name=slug_of_text(text), columns=columns, where=where.strip(), subqueries=subqueries
    )


def _treated(rule: Rule, raw: Mapping[str, Any]) -> Rule:
    blocking, severity, owner = raw.get("blocking", False), raw.get("severity", "error"), raw.get("owner")
    if not isinstance(blocking, bool):
        raise ValueError("`blocking` must be true or false")
    if severity not in ("error", "warn"):
        raise ValueError("`severity` must be error or warn")
    if blocking and severity == "warn":
        raise ValueError("a blocking rule must have severity error; a warning stops nothing")
    if owner is not None and not (isinstance(owner, str) and re.fullmatch(OWNER, owner)):
        raise ValueError("`owner` must be an e-mail address or team:name")
    return replace(rule, blocking=blocking, severity=severity, owner=owner)


def _named(rule: Rule, name: Any) -> Rule:
    if name is None:
        return rule
    if not isinstance(name, str) or not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{NAME_LENGTH_MAX - 1}}}", name):
        raise ValueError(
            "`name` must be lower-case letters, digits and underscores, start with a letter and"
            f" have at most {NAME_LENGTH_MAX} characters"
        )
    return replace(rule, name=name)


def _limited(rule: Rule, raw: Mapping[str, Any]) -> Rule:
    allowed = raw.get("allow")
    if allowed is None:
        return rule
    if rule.kind != "row":
        raise ValueError("`allow` is for a rule that each row passes or fails by itself")
    limit = share(allowed) if isinstance(allowed, str) else allowed
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1:
        raise ValueError("`allow` is the share of rows that may fail: a number from 0 to 1, or 1%")
    return replace(rule, threshold=float(limit))


def _parse_text(text: str) -> Rule:
    stripped = text.strip()
    _check_length(stripped)
    if not stripped:
        raise ValueError(f"the rule is empty; write one such as {FORMS}")
    return parse_table(stripped) or parse_row(stripped)


def _check_length(text: str) -> None:
    if len(text) > TEXT_LENGTH_MAX:
        raise ValueError(
            f"the rule has {len(text):,} characters, more than {TEXT_LENGTH_MAX:,}; write several rules"
        )


def _near(key: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, KEYS, 1, 0.6)
    return f" (did you mean `{near[0]}`?)" if near else ""
