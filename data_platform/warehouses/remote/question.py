"""What a person may ask of a warehouse that was opened to read: one question, which changes nothing."""

from __future__ import annotations

from data_platform.errors import QueryFailed


def check_question(sql: str, dialect: str, parameters: int = 0) -> None:
    """``QueryFailed`` unless ``sql`` is one SELECT, by the grammar of its engine in ``sqlglot``, with a ``?`` for each of ``parameters``. Rights in the engine are the
    stronger fence: a role that may only read."""
    import sqlglot
    from sqlglot import exp

    try:
        found = [one for one in sqlglot.parse(sql, read=dialect) if one is not None]
    except sqlglot.errors.SqlglotError:
        raise QueryFailed(
            "The query did not run: it could not be read as SQL of this warehouse. Check its spelling."
        ) from None
    if len(found) != 1:
        raise QueryFailed(f"The query did not run: it holds {len(found)} statements. Run one at a time.")
    changing = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.DDL, exp.Command, exp.Into, exp.Lock)
    [one] = found
    if not isinstance(one, exp.Query) or any(one.find_all(*changing)):
        raise QueryFailed(
            "The query did not run: a read-only statement is a SELECT that writes nothing. Any other statement may change"
            " something, and this command only reads."
        )
    places = sum(1 for _ in one.find_all(exp.Placeholder))
    if places != parameters:
        raise QueryFailed(
            f"The query did not run: it has {places} places (?) for {parameters} bound values. Bind a value for each, in their order."
        )
