"""What a table's sealed columns need while it is read: each row's subject, and the key of that subject.

The functions here take whole batches of rows, so that the keys of thousands of people are asked for at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from data_platform.catalog import Table
from data_platform.errors import ConfigurationError, UnsupportedType
from data_platform.privacy.documents import Documents
from data_platform.privacy.seal import Place, SubjectKey, seal_all, subject_texts
from data_platform.sources.reading import Described

_NO_SUBJECT = ("DOUBLE", "FLOAT", "JSON", "BLOB")


class Keys(Protocol):
    """What sealing asks of a keystore (``keystore.Keystore``)."""

    def ready(self) -> None: ...

    def keys(self, kind: str, subjects: Collection[str | None]) -> dict[str | None, SubjectKey]: ...


class Secrets(Protocol):
    """What treats personal values; the opened platform has both."""

    def hash_key(self) -> bytes: ...

    def keystore(self) -> Keys: ...


class OnlyLooking:
    """In the place of the secrets, where nothing is read: whether there are any is another question."""

    def hash_key(self) -> bytes:
        return b""

    def keystore(self) -> Keys:
        return self

    def ready(self) -> None:
        pass

    def keys(self, kind: str, subjects: Collection[str | None]) -> dict[str | None, SubjectKey]:
        raise ValueError("nothing is sealed where nothing is read")


class Sealing:
    """Seals columns of one table. Threads may use it side by side.

    Each of a row's columns asks for the same keys, one column after the other, so a thread keeps those of the rows that it saw last."""

    def __init__(self, table: Table, keystore: Keys) -> None:
        assert table.subject is not None
        self._table, self._keystore = str(table.id), keystore
        self._kind, self._looked_up = table.subject.kind_of(table.id), subject_texts(table.subject.column)
        self._last = threading.local()

    def column(self, name: str) -> Callable[[Any, Any], Any]:
        """A function of arrays (values, subjects): each value sealed under the key of its row's subject."""
        return self._treating(partial(seal_all, Place(self._table, name)))

    def within(self, documents: Documents) -> Callable[[Any, Any], Any]:
        """A function of arrays (documents, subjects): what is treated within each document."""

        def treated(texts: Sequence[str | None], keys: Sequence[SubjectKey | None]) -> list[str | None]:
            return [
                None if text is None or key is None else documents.treated_for(text, key)
                for text, key in zip(texts, keys, strict=True)
            ]

        return self._treating(treated)

    def _treating(
        self, treat: Callable[[Sequence[str | None], Sequence[SubjectKey | None]], list[str | None]]
    ) -> Callable[[Any, Any], Any]:
        import pyarrow as pa

        def treated(values: Any, subjects: Any) -> Any:
            texts = values.to_pylist()
            return pa.array(treat(texts, self._keys(subjects, texts)), pa.string())

        return treated

    def _keys(self, subjects: Any, texts: Sequence[str | None]) -> Sequence[SubjectKey | None]:
        """The key of each row that has a text."""
        last: _Seen | None = getattr(self._last, "seen", None)
        if last is None or not last.subjects.equals(subjects):
            ids = (None if id is None else self._looked_up(id) for id in subjects.to_pylist())
            self._last.seen = last = _Seen(subjects, list(ids), [None] * len(subjects))
        if not last.whole:
            wanted = {
                one
                for one, key, text in zip(last.about, last.keys, texts, strict=True)
                if key is None and text is not None
            }
            if wanted:
                found = self._keystore.keys(self._kind, wanted)
                last.keys = [
                    found.get(one) if key is None else key
                    for one, key in zip(last.about, last.keys, strict=True)
                ]
                last.whole = None not in last.keys
        return last.keys


@dataclass(slots=True)
class _Seen:
    """Rows of ``subjects``, whom each is ``about``, and the keys that were asked for so far; ``whole``: all of them."""

    subjects: Any
    about: list[str | None]
    keys: list[SubjectKey | None]
    whole: bool = False


def sealing(table: Table, secrets: Secrets) -> Sealing:
    """What seals the columns of ``table``, with a keystore that opens: what keeps it from sealing is said before anything is read."""
    if table.subject is None:  # the catalog's checks see to it
        raise ConfigurationError(
            f"{table.id}: `seal` needs `subject`, the column that says whose person a row is about."
        )
    keystore = secrets.keystore()
    keystore.ready()
    return Sealing(table, keystore)


def subject_sql(table: Table, now: Described) -> str:
    """DuckDB SQL for the text of a row's subject, over what the source gives. UnsupportedType where its values have no text of
    their own."""
    assert table.subject is not None
    column = now.column(table.subject.column)
    if column is None or column.type in _NO_SUBJECT:
        found = "which the source does not give" if column is None else f"which is {column.source_type}"
        raise UnsupportedType(
            f"{table.id}: the subject column is {table.subject.column}, {found}. Name a column of whole numbers, text or UUIDs."
        )
    return column.text if table.treatment(column.name) != "keep" else f"CAST({column.value} AS VARCHAR)"
