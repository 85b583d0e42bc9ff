"""The keys of subjects: made, found, destroyed, wrapped under another master.

A subject is looked up by a token, the HMAC-SHA-256 of what its tables call it, and is named by a random id. Both go with the
key: what is left of a destroyed one is the id, so that it is known to be erased. A key is committed before anything is sealed
under it.

A *kind* of subject is a namespace of its values: the same value in two kinds is two subjects.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from data_platform.errors import ConfigurationError
from data_platform.keystore.lookup import NOBODY_TOKEN, SECRET, WHOLE_SECRET, Lookup
from data_platform.keystore.masters import Master
from data_platform.keystore.rows import TABLES, Rows
from data_platform.keystore.wrapping import WrappingKeys
from data_platform.privacy.seal import KEY_BYTES, NOBODY, SubjectKey

_ASKED = 5_000
"""Subjects in one question to the database."""
_MANY = 1_000
"""Where so many subjects at once had no key, those that come next are thought to have none."""
_SHARED, _OWN = 4, 12
"""Random bytes of an id that the subjects made together share, and those of its own: side by side in the index, they change few
pages of it."""
_KNOWN_MAX = 20_000
"""Keys in memory, of 3 KB each."""
_REWRAPPED = 5_000


@dataclass(frozen=True, slots=True)
class Status:
    """What a keystore holds. ``nobody`` are the kinds with a key for rows that name no subject; ``master`` is the name of
    the master that wraps the keys, ``number`` counts the wrapping keys so far, the present one was made at ``made_at``. Of a
    keystore that was never used ``number`` is 0."""

    place: str
    subjects: int
    destroyed: int
    nobody: tuple[str, ...]
    master: str
    number: int
    made_at: str


class Keystore:
    """Any number of threads and processes may use one keystore at the same time. ``masters`` begins with the one that wraps what
    is new. Errors: ConfigurationError where no master opens it, KeystoreUnreachable where the database does not answer."""

    def __init__(
        self, rows: Rows, masters: Sequence[Master], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._rows, self._masters, self._clock = rows, masters, clock
        self._wrapping = WrappingKeys(rows, masters, self._now)
        self._lookup: Lookup | None = None
        self._known: dict[str, dict[str | None, SubjectKey]] = {}
        self._new: set[str] = set()
        """The kinds whose last subjects had no key."""
        self._turn = threading.RLock()

    @property
    def place(self) -> str:
        return self._rows.place

    def ready(self) -> None:
        """See that keys can be made and opened. The first use of an empty keystore makes its wrapping key."""
        with self._turn:
            self._open()

    def keys(self, kind: str, subjects: Collection[str | None]) -> dict[str | None, SubjectKey]:
        """The key of each of ``subjects`` of ``kind``, made where there is none; None stands for rows that name nobody. They are
        committed when this returns."""
        with self._turn:
            known = self._known.get(kind, {})
            found = {one: known[one] for one in subjects if one in known}
            absent = [one for one in dict.fromkeys(subjects) if one not in found] if found else list(subjects)
            for start in range(0, len(absent), _ASKED):
                found |= self._found_or_made(kind, absent[start : start + _ASKED])
            if absent:
                if sum(map(len, self._known.values())) + len(absent) > _KNOWN_MAX:
                    self._known.clear()
                self._known.setdefault(kind, {}).update(found)
            return found

    def find(self, kind: str, subject: str | None) -> str | None:
        """The id of a subject; None where it has no key, or none any more."""
        (token,) = self._open().tokens(kind, (subject,))
        found = self._rows.read("SELECT subject_id FROM subjects WHERE kind = ? AND token = ?", (kind, token))
        return str(found[0][0]) if found else None

    def opened(self, ids: Collection[str]) -> dict[str, SubjectKey | None]:
        """The keys with these ids; None for one that was destroyed. An id that the keystore never had is absent."""
        self.ready()
        found: dict[str, SubjectKey | None] = {}
        listed = list(dict.fromkeys(ids))
        for start in range(0, len(listed), _ASKED):
            asked = self._rows.listed(listed[start : start + _ASKED])
            rows = self._rows.read(
                f"SELECT subject_id, number, wrapped FROM subjects WHERE {self._rows.among('subject_id')}",
                (asked,),
            )
            found |= {id: None for id, _, wrapped in rows if wrapped is None}
            found |= {key.id: key for key in self._subject_keys([row for row in rows if row[2] is not None])}
        return found

    def destroy(self, ids: Collection[str]) -> int:
        """Destroy these keys and how their subjects are looked up; returns how many there were. Nothing brings them back but a
        copy of the keystore."""
        listed, count = list(dict.fromkeys(ids)), 0
        with self._turn:
            self._known.clear()
            for start in range(0, len(listed), _ASKED):
                asked = (self._rows.listed(listed[start : start + _ASKED]),)
                those = f"{self._rows.among('subject_id')} AND destroyed_at IS NULL"
                with self._rows.writing():
                    count += self._rows.read(f"SELECT count(*) FROM subjects WHERE {those}", asked)[0][0]
                    self._rows.many(
                        "UPDATE subjects SET token = NULL, wrapped = NULL, number = NULL, destroyed_at = ?"
                        f" WHERE {those}",
                        [(self._now(), *asked)],
                    )
        return count

    def rotate(self) -> int:
        """Wrap every key under a new wrapping key of the first master, and forget the wrapping keys before; returns how many keys
        of subjects there are. Other processes may go on meanwhile. What is killed is finished by the next call."""
        with self._turn:
            self._lookup = None
            lookup = self._open()
            with self._rows.writing():
                number = self._wrapping.newest() + 1
                self._wrapping.add(number)
                self._put_lookup(lookup, number)
            count = 0
            while rows := self._rows.read(
                f"SELECT subject_id FROM subjects WHERE number < ? ORDER BY subject_id LIMIT {_REWRAPPED}",
                (number,),
            ):
                count += self._rewrap([row[0] for row in rows], number)
            with self._rows.writing():  # a writer that began before the new key was there has ended by now
                left = self._rows.read("SELECT subject_id FROM subjects WHERE number < ?", (number,))
                count += self._rewrap([row[0] for row in left], number, within=True)
                self._wrapping.forget_before(number)
            self._known.clear()
        self._rows.compact()
        return count

    def status(self) -> Status:
        """What is there. Nothing is made; ConfigurationError where no master opens it."""
        if not self._rows.read("SELECT number FROM wrapping_keys"):
            return Status(self.place, 0, 0, (), self._masters[0].name, 0, "")
        self.ready()
        alive, destroyed = self._rows.read(
            "SELECT count(*) - count(destroyed_at), count(destroyed_at) FROM subjects"
        )[0]
        nobody = self._rows.read("SELECT kind FROM subjects WHERE token = ? ORDER BY kind", (NOBODY_TOKEN,))
        number, master, made_at = self._rows.read(
            "SELECT number, master, made_at FROM wrapping_keys ORDER BY number DESC LIMIT 1"
        )[0]
        return Status(
            self.place,
            alive - len(nobody),
            destroyed,
            tuple(kind for (kind,) in nobody),
            master,
            number,
            made_at,
        )

    def take_back(self, tables: Iterator[tuple[str, list[tuple[Any, ...]]]]) -> int:
        """Add the keys of a copy that are not here; returns how many. A key that was destroyed here stays so. ConfigurationError
        where the copy is another keystore's."""
        count = 0
        with self._turn:
            with self._rows.writing():
                if not self._rows.read("SELECT subject_id FROM subjects LIMIT 1"):
                    self._rows.many("DELETE FROM wrapping_keys WHERE number > ?", [(0,)])
                    self._rows.many("DELETE FROM secrets WHERE number > ?", [(0,)])
                mine = self._rows.read("SELECT number, master, wrapped FROM wrapping_keys")
                for table, rows in tables:
                    if (
                        table == "wrapping_keys"
                        and mine
                        and not {row[2] for row in rows} & {bytes(row[2]) for row in mine}
                    ):
                        raise ConfigurationError(
                            f"The keystore {self.place} has other wrapping keys than the copy: it is another keystore's, or was made"
                            " before `keystore rotate`. Restore into an empty keystore."
                        )
                    count += self._added(table, rows)
            self._lookup = None
            self._wrapping = WrappingKeys(self._rows, self._masters, self._now)
            self._known.clear()
            self.ready()
        return count

    def beside(self, rows: Rows) -> Keystore:
        """Another place with keys under the same masters."""
        return Keystore(rows, self._masters, self._clock)

    def tried(self, most: int) -> int:
        """Open keys of at most ``most`` subjects, chosen at random; returns how many. ConfigurationError where one does not open."""
        self.ready()
        found = self._rows.read(
            "SELECT subject_id, number, wrapped FROM subjects WHERE wrapped IS NOT NULL ORDER BY random() LIMIT ?",
            (most,),
        )
        return len(self._wrapping.unwrapped(found))

    def close(self) -> None:
        self._rows.close()

    def everything(self):  # type: ignore[no-untyped-def]
        """All rows as of one instant, for a copy: ``Rows.everything``."""
        self.ready()
        return self._rows.everything()

    def _added(self, table: str, rows: Sequence[Sequence[Any]]) -> int:
        key = TABLES[table][0]
        names = [str(row[0]) for row in rows]
        column = key if key != "number" else "CAST(number AS TEXT)"
        there = {
            str(row[0])
            for row in self._rows.read(
                f"SELECT {key} FROM {table} WHERE {self._rows.among(column)}", (self._rows.listed(names),)
            )
        }
        added = self._rows.insert(table, [row for row in rows if str(row[0]) not in there])
        return added if table == "subjects" else 0

    # -- subjects

    def _found_or_made(self, kind: str, subjects: Sequence[str | None]) -> dict[str | None, SubjectKey]:
        by_token = dict(zip(self._open().tokens(kind, subjects), subjects, strict=True))
        found = {} if kind in self._new else self._by_tokens(kind, by_token)
        self._new.discard(kind)
        while absent := {token: one for token, one in by_token.items() if one not in found}:
            made = self._made(kind, absent)
            found |= self._by_tokens(kind, absent) if made is None else made
            if made is not None and len(made) == len(by_token) >= _MANY:
                self._new.add(kind)
        return found

    def _made(self, kind: str, by_token: Mapping[str, str | None]) -> dict[str | None, SubjectKey] | None:
        """New keys of the subjects. None where some had one: then the others have one now, and all are to be read."""
        each = _OWN + KEY_BYTES
        random = os.urandom(_SHARED + each * len(by_token))
        shared, ids, keys = random[:_SHARED].hex(), [], []
        for at, subject in zip(range(_SHARED, len(random), each), by_token.values(), strict=True):
            id = shared + random[at : at + _OWN].hex()
            ids.append(id if subject is not None else NOBODY + id)
            keys.append(random[at + _OWN : at + each])
        with self._rows.writing():
            number, now = self._wrapping.newest(), self._now()
            wrapped = self._wrapping.wrapped(number, zip(ids, keys, strict=True))
            rows = [
                (id, kind, token, number, one, now)
                for id, token, one in zip(ids, by_token, wrapped, strict=True)
            ]
            added = self._rows.insert("subjects", rows)
        if added < len(rows):
            return None
        return dict(zip(by_token.values(), map(SubjectKey, ids, keys), strict=True))

    def _by_tokens(self, kind: str, by_token: Mapping[str, str | None]) -> dict[str | None, SubjectKey]:
        rows = self._rows.read(
            f"SELECT subject_id, number, wrapped, token FROM subjects WHERE kind = ? AND {self._rows.among('token')}",
            (kind, self._rows.listed(list(by_token))),
        )
        return {by_token[row[3]]: key for row, key in zip(rows, self._subject_keys(rows), strict=True)}

    def _subject_keys(self, rows: Sequence[tuple[Any, ...]]) -> list[SubjectKey]:
        """The keys of ``rows``, as (id, number, wrapped) and what may follow."""
        return list(map(SubjectKey, (row[0] for row in rows), self._wrapping.unwrapped(rows)))

    def _rewrap(self, ids: Sequence[str], number: int, *, within: bool = False) -> int:
        if not ids:
            return 0
        if not within:
            with self._rows.writing():
                return self._rewrap(ids, number, within=True)
        rows = self._rows.read(
            f"SELECT subject_id, number, wrapped FROM subjects WHERE number < ? AND {self._rows.among('subject_id')}",
            (number, self._rows.listed(ids)),
        )
        keys = self._wrapping.unwrapped(rows)
        wrapped = self._wrapping.wrapped(number, zip((row[0] for row in rows), keys, strict=True))
        made = [(number, one, row[0]) for row, one in zip(rows, wrapped, strict=True)]
        self._rows.many("UPDATE subjects SET number = ?, wrapped = ? WHERE subject_id = ?", made)
        return len(made)

    def _open(self) -> Lookup:
        """How subjects are looked up; the first use of an empty keystore makes it."""
        with self._turn:
            if self._lookup is None:
                if not self._wrapping.newest():
                    with self._rows.writing():
                        if not self._wrapping.newest():
                            self._wrapping.add(1)
                            self._put_lookup(Lookup(SECRET, os.urandom(KEY_BYTES)), 1)
                self._lookup = self._read_lookup()
            return self._lookup

    def _read_lookup(self) -> Lookup:
        rows = self._rows.read("SELECT name, number, wrapped FROM secrets")
        found = [row for row in rows if row[0] in (SECRET, WHOLE_SECRET)]
        if not found:
            raise ConfigurationError(
                f"The keystore {self.place} lacks the secret by which subjects are looked up, or a later version made it. Restore it"
                " from its newest copy (`data-platform keystore restore`), or use the version that made it."
            )
        return Lookup(found[0][0], self._wrapping.unwrapped(found)[0])

    def _put_lookup(self, lookup: Lookup, number: int) -> None:
        (wrapped,) = self._wrapping.wrapped(number, [(lookup.name, lookup.secret)])
        self._rows.many("DELETE FROM secrets WHERE name = ?", [(lookup.name,)])
        self._rows.insert("secrets", [(lookup.name, number, wrapped)])

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")
