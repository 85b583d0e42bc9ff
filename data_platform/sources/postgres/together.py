"""Many tables asked about in few messages, so that a sync of many waits for the network a few times in all.

What fails is its own table's alone: what was sent with it is asked again without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from data_platform.sources.postgres.introspect import Relation, ask_together, read_relations

AT_ONCE = 500
"""Tables in one message to the server. Its answer is held in memory."""

Wanted = tuple[str, str, str]
"""A table's name in the catalog, its schema and its relation."""
Rows = list[tuple[Any, ...]]

_SAVE, _RELEASE = "savepoint one", "release savepoint one"
_BACK = f"rollback to {_SAVE}; {_RELEASE}"


@contextmanager
def savepoint(connection: Any) -> Iterator[None]:
    """A failure in the block leaves the transaction usable, unless the connection is lost."""
    connection.execute(_SAVE)
    try:
        yield
    except BaseException:
        if not connection.closed:
            connection.execute(_BACK)
        raise
    connection.execute(_RELEASE)


def ask(connection: Any, statements: Sequence[str]) -> list[Rows]:
    """The rows of each of ``statements``, in one message and under a savepoint."""
    try:
        return ask_together(connection, [_SAVE, *statements, _RELEASE])[1:-1]
    except BaseException:
        if not connection.closed:
            connection.execute(_BACK)
        raise


def ask_each(connection: Any, statements: Mapping[str, str]) -> Iterator[tuple[str, Rows | Exception]]:
    """The rows of each of ``statements``, by name, or why there are none. Raises where the connection is lost."""
    for names in _batched(list(statements)):
        try:
            yield from zip(names, ask(connection, [statements[name] for name in names]), strict=True)
            continue
        except Exception as error:
            if connection.closed:
                raise
            if len(names) == 1:
                yield names[0], error
                continue
        for name in names:  # not by halves: each may be the scan of a table
            yield from ask_each(connection, {name: statements[name]})


def describe(connection: Any, wanted: Sequence[Wanted]) -> Iterator[tuple[Wanted, Relation | Exception]]:
    """What each of ``wanted`` is, or why that cannot be told. Raises where the connection is lost."""
    for all_of in _batched(wanted):
        todo = [all_of]
        while todo:
            some = todo.pop()
            try:
                with savepoint(connection):
                    found = read_relations(connection, [(schema, name) for _, schema, name in some])
                yield from zip(some, found, strict=True)
            except Exception as error:
                if connection.closed:
                    raise
                if len(some) == 1:
                    yield some[0], error
                half = len(some) // 2
                todo += [part for part in (some[half:], some[:half]) if 0 < len(part) < len(some)]


def _batched(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))
