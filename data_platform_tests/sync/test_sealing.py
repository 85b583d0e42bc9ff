"""What seals whole arrays of a table seals each value as one key seals it alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_platform.catalog.table import SubjectColumn
from data_platform.keystore import Keystore
from data_platform.keystore.masters.environment import EnvironmentMaster
from data_platform.keystore.sqlite import SqliteRows
from data_platform.privacy.documents import Documents
from data_platform.privacy.seal import NOBODY, Place, SubjectKey, subject_of, subject_text
from data_platform.sync.sealed import Sealing
from data_platform.tables import TableId

texts = st.none() | st.text(st.characters(codec="utf-8"))
people = (
    st.none()
    | st.sampled_from(["", "1", "2", "É@x.test", " é@X.TEST"])
    | st.text(st.characters(codec="utf-8"))
)
rows = st.lists(st.tuples(people, texts, texts), min_size=1, max_size=30)
EMAIL, NAME = Place("shop/users", "email"), Place("shop/users", "name")


class Asked:
    """A keystore, and whom it was asked for."""

    def __init__(self, keystore: Keystore) -> None:
        self._keystore, self.subjects = keystore, list[str | None]()

    def ready(self) -> None:
        self._keystore.ready()

    def keys(self, kind: str, subjects: Collection[str | None]) -> dict[str | None, SubjectKey]:
        self.subjects += subjects
        return self._keystore.keys(kind, subjects)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystore]:
    folder: Path = tmp_path_factory.mktemp("keys")
    made = Keystore(SqliteRows(folder / "k.sqlite"), [EnvironmentMaster("MASTER", "m" * 32)])
    yield made
    made.close()


def sealing(keystore: Any, column: str = "id") -> Sealing:
    table: Any = SimpleNamespace(
        id=TableId("shop", "users"), subject=SubjectColumn.model_validate({"column": column, "as": "person"})
    )
    return Sealing(table, keystore)


def array(values: Sequence[str | None]) -> Any:
    return pa.array(values, pa.string())


@settings(deadline=None)
@given(st.lists(rows, min_size=1, max_size=3), st.sampled_from(["id", "email"]))
@example([[("1", "x" * 100_000, None)]], "email")
@example([[(None, None, None)], [("1", None, "a"), ("2", "b", None), (None, "", None)]], "id")
def test_each_value_is_sealed_as_its_key_seals_it_alone(
    keystore: Keystore, batches: list[list[tuple[str | None, str | None, str | None]]], column: str
) -> None:
    asked = Asked(keystore)
    seals = sealing(asked, column)
    email, name = seals.column("email"), seals.column("name")
    last: Sequence[str | None] = ()
    for batch in [*batches, batches[0]]:
        asked.subjects.clear()
        who, first, second = zip(*batch, strict=True)
        made = [
            (email(array(first), array(who)).to_pylist(), EMAIL, first),
            (name(array(second), array(who)).to_pylist(), NAME, second),
        ]
        about = [None if one is None else subject_text(column, one) for one in who]
        wanted = {one for one, *values in zip(about, first, second, strict=True) if values != [None, None]}
        assert len(asked.subjects) == len(set(asked.subjects)), "nobody is asked for twice"
        if who != last:
            assert set(asked.subjects) == wanted, "a row without a value makes no key"
        last = who
        keys = keystore.keys("person", wanted)
        for sealed, place, values in made:
            assert sealed == [
                None if value is None else keys[one].seal(place, value)
                for one, value in zip(about, values, strict=True)
            ]
            for text, one, value in zip(sealed, about, values, strict=True):
                if text is not None:
                    assert keys[one].open(place, text) == value
                    assert (one is None) == str(subject_of(text)).startswith(NOBODY)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(people, st.none() | st.dictionaries(st.sampled_from("ab"), st.text())), min_size=1))
def test_documents_are_sealed_under_the_key_of_their_row(
    keystore: Keystore, given_: list[tuple[str | None, dict[str, str] | None]]
) -> None:
    import json

    documents = Documents({("a",): "seal"}, None, partial(Place, "shop/users", "profile"))
    made = (
        sealing(keystore)
        .within(documents)(
            array([None if one is None else json.dumps(one) for _, one in given_]),
            array([who for who, _ in given_]),
        )
        .to_pylist()
    )
    for text, (who, document) in zip(made, given_, strict=True):
        if document is None:
            assert text is None
            continue
        key, found = keystore.keys("person", [who])[who], json.loads(text)
        assert found.get("b") == document.get("b")
        if "a" in document:
            assert key.open(Place("shop/users", "profile", ("a",)), found["a"]) == document["a"]


def test_threads_that_read_side_by_side_mix_up_nobody(keystore: Keystore) -> None:
    seals = sealing(keystore)
    email = seals.column("email")
    parts = [[str(start + n) for n in range(300)] for start in range(0, 3_000, 100)]
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda part: email(array(part), array(part)).to_pylist(), parts))
    keys = keystore.keys("person", [str(n) for n in range(3_300)])
    for part, texts_ in zip(parts, made, strict=True):
        assert [keys[one].open(EMAIL, text) for one, text in zip(part, texts_, strict=True)] == part
