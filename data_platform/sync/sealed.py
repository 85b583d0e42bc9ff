"""What a table's sealed columns need while it is read: each row's subject, and the key of that subject.

The functions here take whole batches of rows, so that the keys of thousands of people are asked for at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from data_platform.catalog import Table
from data_platform.errors import ConfigurationError, UnsupportedType
from data_platform.privacy.documents import Documents
from data_platform.privacy.seal import Place, SubjectKey, subject_texts
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


def sealing(table: Table, secrets: Secrets) -> Keys:
    """The keystore for ``table``, which opens: what keeps it from sealing is said before anything is read."""
    if table.subject is None:  # the catalog's checks see to it
        raise ConfigurationError(
            f"{table.id}: `seal` needs `subject`, the column that says whose person a row is about."
        )
    keystore = secrets.keystore()
    keystore.ready()
    return keystore


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


def seal_column(table: Table, column: str, keystore: Keys) -> Callable[[Any, Any], Any]:
    """A function of arrays (values, subjects): each value sealed under the key of its row's subject."""
    place = Place(str(table.id), column)
    return _by_subject(table, keystore, lambda value, key: key.seal(place, value))


def seal_within(table: Table, documents: Documents, keystore: Keys) -> Callable[[Any, Any], Any]:
    """A function of arrays (documents, subjects): what is treated within each document."""
    return _by_subject(table, keystore, documents.treated_for)


def _by_subject(
    table: Table, keystore: Keys, treat: Callable[[str, SubjectKey], str | None]
) -> Callable[[Any, Any], Any]:
    import pyarrow as pa

    assert table.subject is not None
    kind, looked_up = table.subject.kind_of(table.id), subject_texts(table.subject.column)

    def treated(values: Any, subjects: Any) -> Any:
        texts, ids = values.to_pylist(), subjects.to_pylist()
        about = [None if id is None else looked_up(id) for id in ids]
        keys = keystore.keys(kind, {id for text, id in zip(texts, about, strict=True) if text is not None})
        made = [
            None if text is None else treat(text, keys[id]) for text, id in zip(texts, about, strict=True)
        ]
        return pa.array(made, pa.string())

    return treated
