"""Filter expressions of the Data API as SQL conditions with bound values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from data_platform.sandbox.services.ga4.requests import invalid, named

MATCHES = {"MATCH_TYPE_UNSPECIFIED": 0, "EXACT": 1, "BEGINS_WITH": 2, "ENDS_WITH": 3, "CONTAINS": 4, "FULL_REGEXP": 5, "PARTIAL_REGEXP": 6}  # fmt: skip
OPERATIONS = {"OPERATION_UNSPECIFIED": 0, "EQUAL": 1, "LESS_THAN": 2, "LESS_THAN_OR_EQUAL": 3, "GREATER_THAN": 4, "GREATER_THAN_OR_EQUAL": 5}  # fmt: skip
SIGNS = {"EQUAL": "=", "LESS_THAN": "<", "LESS_THAN_OR_EQUAL": "<=", "GREATER_THAN": ">", "GREATER_THAN_OR_EQUAL": ">="}  # fmt: skip

Resolve = Callable[[str], str]
"""The SQL of a field by its name; refuses those that may not be filtered here."""


class Conditions:
    """Makes conditions and keeps their values under names of its own."""

    def __init__(self, prefix: str, values: dict[str, Any]) -> None:
        self.prefix, self.values = prefix, values

    def bind(self, value: Any) -> str:
        name = f"{self.prefix}_{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"

    def of(self, expression: Mapping[str, Any], resolve: Resolve) -> str:
        if "andGroup" in expression or "orGroup" in expression:
            word = "andGroup" if "andGroup" in expression else "orGroup"
            parts = [self.of(part, resolve) for part in expression[word].get("expressions") or ()]
            if not parts:
                raise invalid(f"The {word} of a filter is empty.")
            return "(" + (" AND " if word == "andGroup" else " OR ").join(parts) + ")"
        if "notExpression" in expression:
            return f"(NOT {self.of(expression['notExpression'], resolve)})"
        if "filter" not in expression:
            raise invalid("A filter expression is empty.")
        return self._one(expression["filter"], resolve)

    def _one(self, filter_: Mapping[str, Any], resolve: Resolve) -> str:
        column = f"({resolve(filter_.get('fieldName', ''))})"
        if "stringFilter" in filter_:
            return self._text(column, filter_["stringFilter"])
        if "inListFilter" in filter_:
            values = list(filter_["inListFilter"].get("values") or ())
            if not values:
                raise invalid("An inListFilter has no values.")
            if not filter_["inListFilter"].get("caseSensitive"):
                column, values = f"lower({column}::text)", [value.lower() for value in values]
            return f"({column} = ANY({self.bind(values)}::text[]))"
        if "numericFilter" in filter_:
            operation = named(filter_["numericFilter"].get("operation", 0), OPERATIONS, "operation")
            if operation not in SIGNS:
                raise invalid("A numericFilter needs an operation.")
            value = self._number(filter_["numericFilter"].get("value") or {})
            return f"({column}::float8 {SIGNS[operation]} {value}::float8)"
        if "betweenFilter" in filter_:
            low, high = (
                self._number(filter_["betweenFilter"].get(end) or {}) for end in ("fromValue", "toValue")
            )
            return f"({column}::float8 BETWEEN {low}::float8 AND {high}::float8)"
        if "emptyFilter" in filter_:
            return f"({column}::text IN ('', '(not set)'))"
        raise invalid(
            "A filter needs a stringFilter, inListFilter, numericFilter, betweenFilter or emptyFilter."
        )

    def _text(self, column: str, text: Mapping[str, Any]) -> str:
        match = named(text.get("matchType") or "EXACT", MATCHES, "matchType")
        value, exact_case = str(text.get("value", "")), bool(text.get("caseSensitive"))
        if match.endswith("REGEXP"):
            pattern = f"^(?:{value})$" if match == "FULL_REGEXP" else value
            return f"({column}::text {'~' if exact_case else '~*'} {self.bind(pattern)})"
        if not exact_case:
            column, value = f"lower({column}::text)", value.lower()
        bound = self.bind(value)
        return {
            "BEGINS_WITH": f"starts_with({column}, {bound})",
            "ENDS_WITH": f"(right({column}, length({bound})) = {bound})",
            "CONTAINS": f"(strpos({column}, {bound}) > 0)",
        }.get(match, f"({column} = {bound})")

    def _number(self, value: Mapping[str, Any]) -> str:
        for form in ("int64Value", "doubleValue"):
            if form in value:
                return self.bind(float(value[form]))
        return self.bind(0.0)
