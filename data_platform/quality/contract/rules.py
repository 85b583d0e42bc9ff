"""A rule as an entry of ``quality`` in ODCS, and back.

What ODCS can say, others understand; the rule itself goes along as a custom property, so that it comes back exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_platform.quality.rules import Rule, parse_rule
from data_platform.quality.rules.values import COLUMN
from data_platform.sql import literal, quoted

PROPERTY = "dataPlatformRule"
ENGINE = "data-platform"
_OPERATORS = {
    "=": "mustBe",
    "!=": "mustNotBe",
    ">": "mustBeGreaterThan",
    ">=": "mustBeGreaterOrEqualTo",
    "<": "mustBeLessThan",
    "<=": "mustBeLessOrEqualTo",
}
_METRICS = {
    "nullValues": "nullValues",
    "nullCheck": "nullValues",
    "missingValues": "missingValues",
    "invalidValues": "invalidValues",
    "validValues": "invalidValues",
    "duplicateValues": "duplicateValues",
    "duplicateCount": "duplicateValues",
    "uniqueCheck": "duplicateValues",
    "rowCount": "rowCount",
    "countCheck": "rowCount",
}
"""Metrics by their names, those of ODCS 3.0 too."""


def entry(rule: Rule) -> str | dict[str, Any]:
    """The YAML from which ``parse_rule`` makes ``rule``."""
    made: dict[str, Any] = {}
    if rule.form == "query":
        made["query"] = rule.sql
    elif rule.form == "sql":
        made["sql"] = rule.sql
    else:
        made["rule"] = rule.text
    if rule.where is not None:
        made["where"] = rule.where
        if "rule" in made:
            made["rule"] = rule.text.removesuffix(f" where {rule.where}")
    if rule.subqueries:
        made["allow_subquery"] = True
    if rule.threshold is not None and rule.kind == "row":
        made["allow"] = rule.threshold
    if rule.severity != "error":
        made["severity"] = rule.severity
    if rule.blocking:
        made["blocking"] = True
    if rule.owner is not None:
        made["owner"] = rule.owner
    if parse_rule(made).name != rule.name:
        made["name"] = rule.name
    return str(made["rule"]) if list(made) == ["rule"] else made


def of_rule(rule: Rule) -> tuple[str | None, dict[str, Any]]:
    """The column to which the entry belongs, None for the table, and the entry."""
    said: dict[str, Any] = {
        "name": rule.name,
        "severity": "warning" if rule.severity == "warn" else "error",
        "customProperties": [{"property": PROPERTY, "value": entry(rule)}],
    }
    column = rule.columns[0] if len(rule.columns) == 1 else None
    bound: dict[str, Any] = {"mustBe": 0}
    if rule.threshold is not None:
        bound = {"mustBeLessOrEqualTo": round(rule.threshold * 100, 10), "unit": "percent"}
    plain = rule.where is None
    if plain and rule.form in ("not_null", "null_rate"):
        return column, said | {"type": "library", "metric": "nullValues"} | bound
    if plain and rule.form == "in":
        values = [float(one.value) if one.kind == "number" else one.value for one in rule.operands]
        arguments = {"arguments": {"validValues": values}}
        return column, said | {"type": "library", "metric": "invalidValues"} | arguments | bound
    if plain and rule.form == "unique":
        several = {} if column else {"arguments": {"properties": list(rule.keys)}}
        return column, said | {"type": "library", "metric": "duplicateValues"} | several | bound
    if plain and rule.form == "figure" and rule.measure == "row_count" and not rule.per and not rule.per_day:
        numbers = [float(one.value) for one in rule.operands]
        if rule.operator == "between":
            return None, said | {"type": "library", "metric": "rowCount", "mustBeBetween": numbers}
        if rule.operator in _OPERATORS:
            return None, said | {
                "type": "library",
                "metric": "rowCount",
                _OPERATORS[rule.operator]: numbers[0],
            }
    if rule.form == "sql" and rule.threshold is None:
        chosen = f" AND ({rule.where})" if rule.where else ""
        query = f"SELECT count(*) FROM ${{table}} WHERE NOT ({rule.sql}){chosen}"
        return None, said | {"type": "sql", "query": query, "mustBe": 0}
    if rule.form == "query":
        query = f"SELECT count(*) FROM ({(rule.sql or '').replace('{table}', '${table}')}) AS failing"
        return None, said | {"type": "sql", "query": query, "mustBe": 0}
    return column, said | {"type": "custom", "engine": ENGINE, "implementation": rule.text}


def to_entry(quality: Mapping[str, Any], column: str | None) -> str | dict[str, Any]:
    """The YAML of the rule that an entry of ``quality`` is. ``column`` is its property, None for the table. Raises ValueError with
    why it is none."""
    for custom in quality.get("customProperties") or ():
        if custom.get("property") == PROPERTY:
            parse_rule(custom["value"])
            found: str | dict[str, Any] = custom["value"]
            return found
    kind = quality.get("type") or "library"
    made: dict[str, Any]
    if kind == "library":
        made = _of_metric(quality, column)
    elif kind == "sql":
        made = {"query": _of_query(quality, column)}
    elif kind == "custom" and quality.get("engine") == ENGINE:
        implementation = quality.get("implementation")
        made = {"rule": implementation} if isinstance(implementation, str) else dict(implementation or {})
    else:
        engine = quality.get("engine")
        raise ValueError(f"is of the type {kind}{f' for {engine}' if engine else ''}, which is no rule here")
    if str(quality.get("severity") or "error").lower() in ("warn", "warning", "info"):
        made["severity"] = "warn"
    parse_rule(made)
    return made["rule"] if list(made) == ["rule"] else made


def _of_metric(quality: Mapping[str, Any], column: str | None) -> dict[str, Any]:
    named = str(quality.get("metric") or quality.get("rule") or "")
    metric, arguments = _METRICS.get(named), quality.get("arguments") or {}
    if metric == "rowCount":
        if (between := quality.get("mustBeBetween")) is not None:
            return {"rule": f"row_count() between {between[0]:g} and {between[1]:g}"}
        for operator, key in _OPERATORS.items():
            if quality.get(key) is not None:
                return {"rule": f"row_count() {operator} {quality[key]:g}"}
        raise ValueError("counts rows and says no bound")
    if metric == "duplicateValues":
        several = arguments.get("properties") or ([column] if column else [])
        if not several:
            raise ValueError("counts duplicates and names no property")
        _only_zero(quality)
        return {"rule": f"unique({', '.join(map(_name, several))})"}
    if metric is None or column is None:
        raise ValueError(f"measures {named or 'nothing'}, which is no rule here")
    share = _allowed(quality)
    if metric == "nullValues" or (metric == "missingValues" and not _texts(arguments.get("missingValues"))):
        return {
            "rule": f"null_rate({_name(column)}) <= {share:.12g}" if share else f"{_name(column)} not null"
        }
    more = {"allow": share} if share else {}
    if metric == "missingValues":
        return {"rule": f"{_name(column)} not in [{_listed(_texts(arguments['missingValues']))}]"} | more
    if "validValues" in arguments:
        return {"rule": f"{_name(column)} in [{_listed(arguments['validValues'])}]"} | more
    if "pattern" in arguments:
        return {"rule": f"{_name(column)} matches {literal(str(arguments['pattern']))}"} | more
    raise ValueError("says neither validValues nor a pattern")


def _allowed(quality: Mapping[str, Any]) -> float:
    """The share of values that may be bad."""
    if str(quality.get("unit") or "rows") == "percent":
        for key in ("mustBeLessOrEqualTo", "mustBe"):
            if quality.get(key) is not None:
                return float(quality[key]) / 100
    _only_zero(quality)
    return 0.0


def _only_zero(quality: Mapping[str, Any]) -> None:
    none = quality.get("mustBe") == 0 or quality.get("mustBeLessOrEqualTo") == 0
    said = any(
        quality.get(key) is not None for key in (*_OPERATORS.values(), "mustBeBetween", "mustNotBeBetween")
    )
    if said and not none and not (quality.get("mustBeLessThan") == 1 and quality.get("unit") != "percent"):
        raise ValueError("allows some rows; a rule here allows none, or a share in percent")


def _of_query(quality: Mapping[str, Any], column: str | None) -> str:
    """A query that finds a row unless the value is as it must be."""
    query = str(quality.get("query") or "").strip().rstrip(";")
    for word in ("${table}", "${object}", "{object}", "{model}"):
        query = query.replace(word, "{table}")
    for word in ("${column}", "${property}", "{column}", "{property}"):
        query = query.replace(word, quoted(column) if column else word)
    tests = [
        f"value {operator} {float(quality[key]):g}"
        for operator, key in _OPERATORS.items()
        if quality.get(key) is not None
    ]
    if (between := quality.get("mustBeBetween")) is not None:
        tests.append(f"value BETWEEN {between[0]:g} AND {between[1]:g}")
    if (outside := quality.get("mustNotBeBetween")) is not None:
        tests.append(f"NOT value BETWEEN {outside[0]:g} AND {outside[1]:g}")
    if not tests:
        raise ValueError("is a query and says no bound of its value")
    return f"WITH found(value) AS ({query}) SELECT value FROM found WHERE NOT coalesce({' AND '.join(tests)}, FALSE)"


def _texts(values: Any) -> list[Any]:
    return [one for one in values or () if one not in (None, "")]


def _listed(values: Any) -> str:
    return ", ".join(f"{one:g}" if isinstance(one, int | float) else literal(str(one)) for one in values)


def _name(column: str) -> str:
    import re

    return column if re.fullmatch(COLUMN, column) else quoted(column)
