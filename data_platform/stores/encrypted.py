"""A store whose objects are age files: whoever holds the bucket can read nothing, and `age -d` opens each without our code.

Objects are encrypted on this machine for the recipients, which are public. Only the identities, which the environment
holds, open them. What is in the store unencrypted, from before there was encryption, is read as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import ConfigurationError, ObjectDamaged, ObjectSealed
from data_platform.stores import Store
from data_platform.stores.locks import locked
from data_platform.stores.wrapped import WrappedStore
from data_platform.yaml_fields import VARIABLE

MAGIC = b"age-encryption.org/v1\n"
_CHUNK, _TAG, _NONCE = 64 << 10, 16, 16
_HEADER_MAX = 16 << 10
_HINT_MAX = 1 << 20
_END = re.compile(rb"\n--- [^\n]*\n")


class EncryptionConfig(BaseModel):
    """``{recipients: [age1...], identities_env: BACKUP_IDENTITIES}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipients: tuple[Annotated[str, Field(pattern=r"^age1[0-9a-z]{58}$")], ...] = Field(
        min_length=1,
        description="Public keys for which every object is encrypted, such as age1...; `age-keygen` makes one. Give a second one whose"
        " identity is kept elsewhere, so that the loss of one does not lose every backup.",
    )
    identities_env: str = Field(
        default="BACKUP_IDENTITIES",
        pattern=VARIABLE,
        description="Environment variable that holds the identities (AGE-SECRET-KEY-1...) that open the objects, one or several,"
        " separated by spaces or lines.",
    )
    previous_identities_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the identities from before the recipients were changed. Older backups are opened"
        " with them.",
    )

    def keys(self, environ: Mapping[str, str] | None) -> Keys:
        return Keys(self, os.environ if environ is None else environ)


@dataclass(frozen=True)
class Keys:
    """What encrypts and what opens. Nothing is read from the environment before it is needed."""

    config: EncryptionConfig
    environ: Mapping[str, str] = field(repr=False)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.config.identities_env, self.config.previous_identities_env)))

    @property
    def today(self) -> Keys:
        """Without the identities from before the recipients were changed."""
        return Keys(self.config.model_copy(update={"previous_identities_env": None}), self.environ)

    def opens(self, head: bytes) -> bool:
        """Whether one of the identities is one that the age file that begins with ``head``, its whole header, is for."""
        age = _age()
        end = _END.search(head)
        try:  # what follows the header is cut off: only whether a key is found is asked
            age.decrypt(head[: end.end() + _NONCE] if end else head, self.identities())
        except age.DecryptError as error:
            return "No matching keys" not in str(error)
        return True

    def recipients(self) -> list[Any]:
        age = _age()
        try:
            return [age.x25519.Recipient.from_str(one) for one in self.config.recipients]
        except age.RecipientError:
            raise ConfigurationError(
                "A recipient under `backups.encryption` is not a public key of age. Copy the line `Public key:` that `age-keygen` printed."
            ) from None

    def identities(self) -> list[Any]:
        age = _age()
        found = []
        for variable in self.variables:
            for word in self.environ.get(variable, "").split():
                if word.startswith("AGE-SECRET-KEY-"):
                    try:
                        found.append(age.x25519.Identity.from_str(word))
                    except age.IdentityError:
                        raise ConfigurationError(
                            f"The environment variable {variable} holds something that is not an identity of age, so backups cannot be"
                            " opened. It must be as `age-keygen` printed it: AGE-SECRET-KEY-1..."
                        ) from None
        if not found:
            raise ConfigurationError(
                f"The environment variable {self.config.identities_env} is not set, or holds no identity of age"
                " (AGE-SECRET-KEY-1...), and backups are encrypted. Set it to the identity whose public key is under"
                " `backups.encryption.recipients`; nothing else opens them."
            )
        return found

    def encrypted(self, data: bytes) -> bytes:
        return bytes(_age().encrypt(data, self.recipients()))

    def opened(self, data: bytes, what: str) -> bytes:
        """The content of the age file ``data``; ``what`` is named in errors."""
        with self._readable(what):
            return bytes(_age().decrypt(data, self.identities()))

    def encrypt_file(self, path: Path, into: Path) -> None:
        _age().encrypt_file(str(path), str(into), self.recipients())

    def open_file(self, path: Path, into: Path, what: str) -> None:
        with self._readable(what):
            _age().decrypt_file(str(path), str(into), self.identities())

    @contextmanager
    def _readable(self, what: str) -> Iterator[None]:
        age = _age()
        try:
            yield
        except age.DecryptError as error:
            if "No matching keys" in str(error):
                raise ObjectSealed(
                    f"{what} cannot be opened: none of the identities in {' and '.join(self.variables)} is the one that it was"
                    " encrypted for. Add that identity; the one from before a rotation belongs into `previous_identities_env`."
                ) from None
            raise _damaged(what) from None
        except OSError as error:
            if error.errno is not None:  # the disk's own
                raise
            raise _damaged(what) from None


class EncryptedStore(WrappedStore):
    """``store``, with every object encrypted. Sizes and hashes are those of the content."""

    def __init__(self, store: Store, keys: Keys) -> None:
        super().__init__(store)
        self._keys = keys
        self.opened_by_previous: set[str] = set()
        """Keys of objects that were read and that only a previous identity opens."""

    def put_new(self, key: str, data: bytes) -> bool:
        return self._store.put_new(key, self._keys.encrypted(data))

    def put_hint(self, key: str, data: bytes) -> None:
        self._store.put_hint(key, self._keys.encrypted(data))

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        with self._store.scratch() as folder:
            sealed = folder / "sealed"
            self._keys.encrypt_file(path, sealed)
            self._store.put_file(key, sealed)
        path.unlink()

    def read(self, key: str) -> bytes:
        data = self._store.read(key)
        if not data.startswith(MAGIC):
            return data
        self._notice(key, data[:_HEADER_MAX])
        return self._keys.opened(data, self._named(key))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with self.local(key) as path, path.open("rb") as file:
            file.seek(start)
            return file.read(max(length, 0))

    def size(self, key: str) -> int:
        """Of the content, which the length of an age file tells."""
        whole = self._store.size(key)
        head = self._store.read_range(key, 0, _HEADER_MAX)
        if not head.startswith(MAGIC):
            return whole
        end = _END.search(head)
        if end is None:
            raise ObjectDamaged(
                f"{self._named(key)} has a damaged header. Restore from another copy or another day."
            )
        payload = whole - end.end() - _NONCE
        return payload - _TAG * -(-payload // (_CHUNK + _TAG))

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        with self._store.local(key) as sealed:
            with sealed.open("rb") as file:
                head = file.read(_HEADER_MAX)
            if not head.startswith(MAGIC):
                yield sealed
                return
            self._notice(key, head)
            with self._store.scratch() as folder:
                path = folder / key.rsplit("/", 1)[-1]
                self._keys.open_file(sealed, path, self._named(key))
                yield path

    def is_encrypted(self, key: str) -> bool:
        return self._store.read_range(key, 0, len(MAGIC)) == MAGIC

    def address(self, key: str) -> str | None:
        return None

    def needs_rewriting(self, key: str) -> bool:
        """Whether no identity of today's opens the object, or it is not encrypted. Its header is read. ``KeyError`` if it does not
        exist."""
        head = self._store.read_range(key, 0, _HEADER_MAX)
        return not head.startswith(MAGIC) or not self._keys.today.opens(head)

    def rewrite(self, key: str) -> str:
        """Encrypt the object for today's recipients, in its place: a reader finds the one or the other, each whole. Gives the SHA-256 of
        its content. ``ObjectLocked`` where it is locked and the service lets nothing be put over it."""
        locks = self._store.locks
        until = locks.until(key) if locks else None
        if locks and until and not locks.keeps_versions:
            raise locked(f"{self._named(key)} cannot be encrypted again", until)
        with self.local(key) as path, self._store.scratch() as folder:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            sealed = folder / "sealed"
            self._keys.encrypt_file(path, sealed)
            if locks and until is None and sealed.stat().st_size <= _HINT_MAX:
                self._store.put_hint(
                    key, sealed.read_bytes()
                )  # a hint stays unlocked: it is written again and again
            else:
                self._store.put_file(key, sealed)
        return digest

    @property
    def recipients(self) -> tuple[str, ...]:
        """The public keys that objects are encrypted for."""
        return self._keys.config.recipients

    def with_today(self) -> EncryptedStore:
        """The same store, opened by today's identities alone."""
        return EncryptedStore(self._store, self._keys.today)

    def _notice(self, key: str, head: bytes) -> None:
        if self._keys.config.previous_identities_env and not self._keys.today.opens(head):
            self.opened_by_previous.add(key)

    def _named(self, key: str) -> str:
        return f"The object {key} in {self.url}"


def opener(
    open_: Callable[[], Store], config: EncryptionConfig | None, environ: Mapping[str, str] | None
) -> Callable[[], Store]:
    """Opens the store, encrypted where ``config`` says so."""
    if config is None:
        return open_
    keys = config.keys(environ)
    return lambda: EncryptedStore(open_(), keys)


def _damaged(what: str) -> ObjectDamaged:
    return ObjectDamaged(
        f"{what} cannot be decrypted: it was altered or cut short after it was written. Restore from another copy or another day."
    )


def _age() -> Any:
    try:
        import pyrage
    except ModuleNotFoundError:
        raise ConfigurationError(
            "Backups are encrypted (`backups.encryption`), and the package for it is not installed: pip install"
            " 'data-platform[age]'."
        ) from None
    return pyrage
