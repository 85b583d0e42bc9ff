"""The keys of subjects: made, found, destroyed, wrapped under another master.

A subject is looked up by a token, the HMAC-SHA-256 of what its tables call it, and is named by a random id. Both go with the
key: what is left of a destroyed one is the id, so that it is known to be erased. A key is committed before anything is sealed
under it.

A *kind* of subject is a namespace of its values: the same value in two kinds is two subjects.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from data_platform.errors import ConfigurationError
from data_platform.keystore.masters import Master
from data_platform.keystore.rows import TABLES, Rows
from data_platform.privacy.seal import KEY_BYTES, NOBODY, SubjectKey

_NOBODY = "nobody"
"""The token of the subject of rows that name none; no other token is as short."""
_LOOKUP = "lookup"
_NONCE = 12
_ASKED = 5_000
"""Subjects in one question to the database."""
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
        self._wrapping: dict[int, Any] = {}
        self._lookup: bytes | None = None
        self._known: dict[str, dict[str | None, SubjectKey]] = {}
        self._turn = threading.RLock()

    @property
    def place(self) -> str:
        return self._rows.place

    def ready(self) -> None:
        """See that keys can be made and opened. The first use of an empty keystore makes its wrapping key."""
        with self._turn:
            if self._lookup is None:
                self._open()

    def keys(self, kind: str, subjects: Collection[str | None]) -> dict[str | None, SubjectKey]:
        """The key of each of ``subjects`` of ``kind``, made where there is none; None stands for rows that name nobody. They are
        committed when this returns."""
        with self._turn:
            known = self._known.get(kind, {})
            found = {one: key for one in subjects if (key := known.get(one)) is not None}
            absent = [one for one in dict.fromkeys(subjects) if one not in found]
            if absent:
                self.ready()
                made: dict[str | None, SubjectKey] = {}
                for start in range(0, len(absent), _ASKED):
                    made |= self._found_or_made(kind, absent[start : start + _ASKED])
                if sum(map(len, self._known.values())) + len(made) > _KNOWN_MAX:
                    self._known.clear()
                self._known.setdefault(kind, {}).update(made)
                found |= made
            return found

    def find(self, kind: str, subject: str | None) -> str | None:
        """The id of a subject; None where it has no key, or none any more."""
        self.ready()
        found = self._rows.read(
            "SELECT subject_id FROM subjects WHERE kind = ? AND token = ?", (kind, self._token(kind, subject))
        )
        return str(found[0][0]) if found else None

    def opened(self, ids: Collection[str]) -> dict[str, SubjectKey | None]:
        """The keys with these ids; None for one that was destroyed. An id that the keystore never had is absent."""
        self.ready()
        found: dict[str, SubjectKey | None] = {}
        unwrapped = self._unwrapping()
        listed = list(dict.fromkeys(ids))
        for start in range(0, len(listed), _ASKED):
            asked = self._rows.listed(listed[start : start + _ASKED])
            rows = self._rows.read(
                f"SELECT subject_id, number, wrapped FROM subjects WHERE {self._rows.among('subject_id')}",
                (asked,),
            )
            for id, number, wrapped in rows:
                found[id] = None if wrapped is None else unwrapped(id, number, wrapped)
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
            self._open()
            with self._rows.writing():
                number = self._newest() + 1
                self._put_wrapping_key(number)
                self._put_lookup(self._opened_lookup(), number)
            count = 0
            while rows := self._rows.read(
                f"SELECT subject_id FROM subjects WHERE number < ? ORDER BY subject_id LIMIT {_REWRAPPED}",
                (number,),
            ):
                count += self._rewrap([row[0] for row in rows], number)
            with self._rows.writing():  # a writer that began before the new key was there has ended by now
                left = self._rows.read("SELECT subject_id FROM subjects WHERE number < ?", (number,))
                count += self._rewrap([row[0] for row in left], number, within=True)
                self._rows.many("DELETE FROM wrapping_keys WHERE number < ?", [(number,)])
            self._wrapping = {number: self._wrapping[number]}
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
        nobody = self._rows.read("SELECT kind FROM subjects WHERE token = ? ORDER BY kind", (_NOBODY,))
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
            self._wrapping.clear()
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
        opened = self._unwrapping()
        for id, number, wrapped in found:
            opened(id, number, wrapped)
        return len(found)

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
        absent = [row for row in rows if str(row[0]) not in there]
        columns = TABLES[table]
        self._rows.many(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) ON CONFLICT DO NOTHING",
            absent,
        )
        return len(absent) if table == "subjects" else 0

    # -- subjects

    def _found_or_made(self, kind: str, subjects: Sequence[str | None]) -> dict[str | None, SubjectKey]:
        tokens = self._tokens(kind)
        by_token = {tokens(one): one for one in subjects}
        found = self._by_tokens(kind, by_token)
        absent = [token for token in by_token if by_token[token] not in found]
        if not absent:
            return found
        with self._rows.writing():
            found |= self._by_tokens(kind, {token: by_token[token] for token in absent})
            number, now, rows = self._newest(), self._now(), []
            for token in absent:
                if (subject := by_token[token]) in found:
                    continue
                id, key = os.urandom(16).hex(), os.urandom(KEY_BYTES)
                id = NOBODY + id if subject is None else id
                rows.append((id, kind, token, number, self._wrapped(id, number, key), now))
                found[subject] = SubjectKey(id, key)
            self._rows.many(
                "INSERT INTO subjects (subject_id, kind, token, number, wrapped, made_at) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        return found

    def _by_tokens(self, kind: str, by_token: Mapping[str, str | None]) -> dict[str | None, SubjectKey]:
        rows = self._rows.read(
            f"SELECT token, subject_id, number, wrapped FROM subjects WHERE kind = ? AND {self._rows.among('token')}",
            (kind, self._rows.listed(list(by_token))),
        )
        opened = self._unwrapping()
        return {by_token[token]: opened(id, number, wrapped) for token, id, number, wrapped in rows}

    def _token(self, kind: str, subject: str | None) -> str:
        return self._tokens(kind)(subject)

    def _tokens(self, kind: str) -> Callable[[str | None], str]:
        """A function from subjects of ``kind`` to their tokens."""
        assert self._lookup is not None
        keyed = hmac.new(hmac.digest(self._lookup, kind.encode(), "sha256"), digestmod="sha256")

        def token(subject: str | None) -> str:
            if subject is None:
                return _NOBODY
            made = keyed.copy()
            made.update(subject.encode("utf-8", "surrogatepass"))
            return made.hexdigest()

        return token

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
        made = [
            (number, self._wrapped(id, number, self._decrypted(id, old, bytes(wrapped))), id)
            for id, old, wrapped in rows
        ]
        self._rows.many("UPDATE subjects SET number = ?, wrapped = ? WHERE subject_id = ?", made)
        return len(made)

    # -- wrapping keys

    def _open(self) -> None:
        numbers = self._rows.read("SELECT number FROM wrapping_keys")
        if not numbers:
            with self._rows.writing():
                if not self._rows.read("SELECT number FROM wrapping_keys"):
                    self._put_wrapping_key(1)
                    self._put_lookup(os.urandom(KEY_BYTES), 1)
        self._lookup = self._opened_lookup()

    def _opened_lookup(self) -> bytes:
        rows = self._rows.read("SELECT number, wrapped FROM secrets WHERE name = ?", (_LOOKUP,))
        number, wrapped = rows[0]
        return self._decrypted(_LOOKUP, number, bytes(wrapped))

    def _put_wrapping_key(self, number: int) -> None:
        key, master = os.urandom(KEY_BYTES), self._masters[0]
        wrapped = master.wrap(key, _purpose(number))
        self._rows.many(
            "INSERT INTO wrapping_keys (number, master, wrapped, made_at) VALUES (?, ?, ?, ?)",
            [(number, master.name, wrapped, self._now())],
        )
        self._wrapping[number] = _cipher(key)

    def _put_lookup(self, lookup: bytes, number: int) -> None:
        self._rows.many("DELETE FROM secrets WHERE name = ?", [(_LOOKUP,)])
        self._rows.many(
            "INSERT INTO secrets (name, number, wrapped) VALUES (?, ?, ?)",
            [(_LOOKUP, number, self._wrapped(_LOOKUP, number, lookup))],
        )

    def _newest(self) -> int:
        return int(self._rows.read("SELECT max(number) FROM wrapping_keys")[0][0])

    def _cipher_of(self, number: int) -> Any:
        """The cipher of a wrapping key, which another process may have made since."""
        if number not in self._wrapping:
            rows = self._rows.read("SELECT master, wrapped FROM wrapping_keys WHERE number = ?", (number,))
            if not rows:
                raise ConfigurationError(
                    f"The keystore {self.place} lacks the wrapping key {number}, so keys under it do not open. Restore the keystore"
                    " from its newest copy: `data-platform keystore restore`."
                )
            name, wrapped = rows[0]
            master = next((one for one in self._masters if one.name == name), None)
            if master is None:
                have = " and ".join(f"{one.label} ({one.name})" for one in self._masters)
                raise ConfigurationError(
                    f"The keystore {self.place} was wrapped by the master key {name}, and the catalog gives {have}. Set the master key"
                    " that was in use; to change it, give the one before as `previous_master` and run `data-platform keystore"
                    " rotate`."
                )
            self._wrapping[number] = _cipher(master.unwrap(bytes(wrapped), _purpose(number)))
        return self._wrapping[number]

    def _wrapped(self, id: str, number: int, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + bytes(self._cipher_of(number).encrypt(nonce, key, id.encode()))

    def _unwrapping(self) -> Callable[[str, int, bytes], SubjectKey]:
        """A function from what the database keeps of a subject to its key."""
        decrypted = self._decrypting()
        return lambda id, number, wrapped: SubjectKey(id, decrypted(id, number, bytes(wrapped)))

    def _decrypted(self, id: str, number: int, wrapped: bytes) -> bytes:
        return self._decrypting()(id, number, wrapped)

    def _decrypting(self) -> Callable[[str, int, bytes], bytes]:
        from cryptography.exceptions import InvalidTag

        def decrypted(id: str, number: int, wrapped: bytes) -> bytes:
            try:
                return bytes(self._cipher_of(number).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], id.encode()))
            except (InvalidTag, ValueError):
                raise ConfigurationError(
                    f"A key of the keystore {self.place} was changed and does not open (its id is {id}). Restore the keystore from its"
                    " newest copy: `data-platform keystore restore`."
                ) from None

        return decrypted

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")


def _purpose(number: int) -> str:
    return f"data_platform keystore {number}"


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
