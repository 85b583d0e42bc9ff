"""The forms of a rule that need several rows: unique, references, an order, gaps, and figures of a table or of groups."""

from __future__ import annotations

import re
from dataclasses import replace

from data_platform.quality.rules.model import Form, Measure, Operand, Rule
from data_platform.quality.rules.sql import check_query
from data_platform.quality.rules.values import (
    ANY_COLUMN,
    COLUMN,
    STRING,
    check_between,
    columns,
    operand,
    share,
    slug_of_text,
    unquote,
)

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_UNIT = r"(?P<unit>seconds?|minutes?|hours?|days?|weeks?)"
_PER = rf"(?:\s+per\s+(?P<per>day|{ANY_COLUMN}(?:\s*,\s*{ANY_COLUMN})*))?"
_GROUPS = rf"(?:\s+per\s+(?P<per>{ANY_COLUMN}(?:\s*,\s*{ANY_COLUMN})*))?"
_UNIQUE = re.compile(rf"(?:unique\s*\((?P<columns>[^()]*)\)|{COLUMN}\s+(?:is\s+)?unique)", re.I)
_REFERENCES = re.compile(
    rf"{COLUMN}\s+references\s+(?:(?P<source>\w+)\s*/\s*)?(?P<table>\w+)\.(?P<other>{ANY_COLUMN})", re.I
)
_ORDER = re.compile(
    rf"{COLUMN}\s+(?P<word>increases|never\s+decreases)\s+over\s+(?P<over>{ANY_COLUMN}){_GROUPS}", re.I
)
_GAP = re.compile(
    rf"{COLUMN}\s+has\s+no\s+gap\s+(?:longer\s+than|over)\s+(?P<number>\d+(?:\.\d+)?)(?:\s*{_UNIT})?{_GROUPS}",
    re.I,
)
_FIGURE = re.compile(
    rf"(?P<name>[a-z_]+)\s*\(\s*(?P<of>\*|{ANY_COLUMN})?\s*\)\s*(?P<rest>.+?){_PER}", re.I | re.S
)
_BETWEEN = re.compile(rf"between\s+(?P<low>{STRING}|\S+)\s+and\s+(?P<high>{STRING}|\S+)", re.I)
_COMPARE = re.compile(r"(?P<operator>>=|<=|!=|<>|==|=|>|<)\s*(?P<operand>.+)", re.S)
_AGE = re.compile(rf"(?P<operator><=|<)\s*(?P<number>\d+(?:\.\d+)?)\s*{_UNIT}", re.I)
_EQUALS = re.compile(
    r"equals\s+query\s+(?P<query>\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*')(?:\s+within\s+(?P<within>\S+))?",
    re.I | re.S,
)
_MEASURES: dict[str, Measure] = {
    "row_count": "row_count",
    "count": "row_count",
    "sum": "sum",
    "avg": "avg",
    "mean": "avg",
    "average": "avg",
    "min": "min",
    "max": "max",
    "distinct": "distinct",
    "count_distinct": "distinct",
    "null_rate": "null_rate",
    "age": "age",
}
_KNOWN = (*_MEASURES, "row_count_change", "unique")
_SHARES = ("null_rate",)


def parse_table(text: str) -> Rule | None:
    """None for what has another form. Raises ValueError with what to write instead."""
    if found := _UNIQUE.fullmatch(text):
        named = columns(found["columns"]) if found["columns"] is not None else (unquote(found["column"]),)
        return Rule(text, slug_of_text(text), named, "table", "unique", keys=named)
    if found := _REFERENCES.fullmatch(text):
        other = (found["source"] or "", found["table"], unquote(found["other"]))
        column = unquote(found["column"])
        return Rule(text, slug_of_text(text), (column,), "table", "references", other=other)
    if re.match(rf"{COLUMN}\s+references\b", text, re.I):
        raise ValueError(
            "a reference names a column of a table: `user_id references users.id`, or `shop/users.id` of"
            " another source"
        )
    if found := _ORDER.fullmatch(text):
        form: Form = "increases" if found["word"].lower() == "increases" else "never_decreases"
        column, over = unquote(found["column"]), unquote(found["over"])
        rule = Rule(text, slug_of_text(text), (column, over), "table", form, over=over)
        return _grouped(rule, found["per"])
    if found := _GAP.fullmatch(text):
        return _gap(text, found)
    if (found := _FIGURE.fullmatch(text)) and not (found["name"].lower() == "null_rate" and not found["per"]):
        return _figure(text, found)
    return None


def _gap(text: str, found: re.Match[str]) -> Rule:
    number = float(found["number"])
    if found["unit"]:
        number *= _SECONDS[found["unit"].lower().rstrip("s")] * 1_000_000
    if number <= 0:
        raise ValueError("a gap must be allowed to be longer than 0, such as `longer than 1 day`")
    rule = Rule(text, slug_of_text(text), (unquote(found["column"]),), "table", "no_gap", limit=number)
    return _grouped(replace(rule, relative=not found["unit"]), found["per"])


def _figure(text: str, found: re.Match[str]) -> Rule:
    name, of, rest, per = found["name"].lower(), found["of"], found["rest"].strip(), found["per"]
    if name == "row_count_change":
        return _change(text, of, rest, per)
    if name not in _MEASURES:
        raise ValueError(f"`{name}` is no figure of a table.{_near(name)} Known: {', '.join(_KNOWN)}")
    measure = _MEASURES[name]
    if measure == "row_count":
        if of not in (None, "*"):
            raise ValueError(
                "counts rows, so it has no column: `row_count() >= 1`; `distinct(column)` counts values"
            )
        named: tuple[str, ...] = ()
    elif of in (None, "*"):
        raise ValueError(f"needs a column: `{name}(revenue)`")
    else:
        named = (unquote(of),)
    rule = Rule(text, slug_of_text(text), named, "table", "figure", measure=measure)
    if measure == "age":
        rule = _aged(rule, rest)
    elif match := _EQUALS.fullmatch(rest):
        rule = _equal(rule, match, per)
    else:
        rule = _bounded(rule, rest)
    return _grouped(rule, per, days=True)


def _bounded(rule: Rule, rest: str) -> Rule:
    if match := _BETWEEN.fullmatch(rest):
        low, high = _bound(rule, match["low"]), _bound(rule, match["high"])
        check_between(low, high)
        return replace(rule, operator="between", operands=(low, high))
    if match := _COMPARE.fullmatch(rest):
        operator = {"<>": "!=", "==": "="}.get(match["operator"], match["operator"])
        return replace(rule, operator=operator, operands=(_bound(rule, match["operand"].strip()),))
    raise ValueError(
        f"`{rule.text.split('(')[0].strip()}(...)` must be followed by a comparison, `between 1 and 5` or"
        ' `equals query "SELECT ..."`'
    )


def _bound(rule: Rule, text: str) -> Operand:
    if rule.measure in _SHARES and (limit := share(text)) is not None:
        return Operand("number", f"{limit:.12g}")
    found = operand(text)
    ordered = ("number", "date", "today", "now", "text")
    allowed = ordered if rule.measure in ("min", "max") else ("number",)
    if found.kind not in allowed:
        what = "a number, a date, a 'text', today or now" if len(allowed) > 1 else "a number"
        raise ValueError(f"is compared with {what}")
    return found


def _aged(rule: Rule, rest: str) -> Rule:
    found = _AGE.fullmatch(rest)
    if found is None:
        raise ValueError("the age of the newest value has an upper bound: `age(created_at) <= 6 hours`")
    hours = float(found["number"]) * _SECONDS[found["unit"].lower().rstrip("s")] / 3600
    return replace(rule, operator=found["operator"], operands=(Operand("number", f"{hours:.12g}"),))


def _equal(rule: Rule, found: re.Match[str], per: str | None) -> Rule:
    if per:
        raise ValueError("is compared with one value of a query, so it has no groups: leave `per` out")
    tolerance = 0.0
    if found["within"]:
        read = share(found["within"])
        if read is None or read < 0:
            raise ValueError("`within` is followed by a number or a share, such as 0.01 or 1%")
        tolerance = read
    query = unquote(found["query"])
    check_query(query, values=1)
    relative = (found["within"] or "").endswith("%")
    return replace(rule, operator="equals", sql=query, limit=tolerance, relative=relative)


def _change(text: str, of: str | None, rest: str, per: str | None) -> Rule:
    if of is not None or per is not None:
        raise ValueError(
            "compares all rows with those after the load before: `row_count_change() between -10% and 50%`"
        )
    found, low, high = _BETWEEN.fullmatch(rest), None, None
    if found:
        low, high = share(found["low"]), share(found["high"])
    elif match := _COMPARE.fullmatch(rest):
        bound = share(match["operand"])
        low, high = (bound, None) if match["operator"] == ">=" else (None, bound)
        if match["operator"] not in (">=", "<="):
            bound = low = high = None
    if (low is None and high is None) or (found and (low is None or high is None)):
        raise ValueError(
            "a change is a share: `row_count_change() between -10% and 50%`, `>= -10%` or `<= 0.5`"
        )
    if low is not None and high is not None and low > high:
        raise ValueError("`between` has its greater value first: no table could pass")
    operands = tuple(Operand("number", "" if one is None else f"{one:.12g}") for one in (low, high))
    return Rule(text, slug_of_text(text), (), "table", "change", "between", operands)


def _grouped(rule: Rule, per: str | None, *, days: bool = False) -> Rule:
    if per is None:
        return rule
    if days and per.lower() == "day":
        return replace(rule, per_day=True)
    named = columns(per)
    every = tuple(dict.fromkeys([*rule.columns, *named]))
    return replace(rule, per=named, columns=every)


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, _KNOWN, 1, 0.6)
    return f" Did you mean `{near[0]}`?" if near else ""
