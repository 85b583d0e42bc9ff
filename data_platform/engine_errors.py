"""What DuckDB says of a statement that failed, without a value of a row.

Parsing and planning know the statement and names alone; so do errors of files and of memory. What fails while
rows are worked on may quote them: a text that is no number, two factors whose product is too large. Of those
the kind is told.
"""

from __future__ import annotations

_WITHOUT_VALUES = (
    "ParserException",
    "SyntaxException",
    "BinderException",
    "CatalogException",
    "DependencyException",
    "PermissionException",
    "NotImplementedException",
    "IOException",
    "HTTPException",
    "OutOfMemoryException",
    "InterruptException",
    "ConnectionException",
    "TransactionException",
)
"""By name: only who runs the engine imports it."""
_KINDS = {
    "ConversionException": "a value cannot be converted to the type asked for. `TRY_CAST(… AS …) IS NULL` finds the rows",
    "OutOfRangeException": "a number is out of the range of its type",
    "InvalidInputException": "a function was given a value that it does not take",
    "ConstraintException": "a value breaks a constraint of its table",
    "TypeMismatchException": "a value is not of the type asked for",
}


def said(error: Exception) -> str:
    """The engine's own words where they hold no value, or else what kind of failure it was."""
    kind = type(error).__name__
    if kind in _WITHOUT_VALUES:
        return str(error).strip()
    return f"{reason(kind)} ({kind}; its text is not shown, as it may hold a value)"


def reason(kind: str) -> str:
    """What an error of this class is about, where its text may hold a value."""
    return _KINDS.get(kind, "the engine failed while it worked on rows")


def first_line(error: Exception) -> str:
    """``said`` on one line, without the statement that the engine quotes below."""
    return said(error).splitlines()[0] if said(error) else type(error).__name__
