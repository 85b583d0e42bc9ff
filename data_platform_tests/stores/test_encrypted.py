"""Encrypted backups: the store's promises hold, `age` opens what is stored, a wrong key is named."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from data_platform.errors import ConfigurationError, ObjectDamaged, ObjectSealed
from data_platform.stores import Store
from data_platform.stores.encrypted import MAGIC, EncryptedStore, EncryptionConfig, opener
from data_platform.stores.local import LocalStore
from data_platform_tests.servers.objects import new_prefix

ONE, TWO, OTHER = (pyrage.x25519.Identity.generate() for _ in range(3))
SIZES = (0, 1, 65_535, 65_536, 65_537, 200_000)


def config(*identities: pyrage.x25519.Identity, previous: bool = False) -> EncryptionConfig:
    recipients = tuple(str(one.to_public()) for one in identities)
    return EncryptionConfig(
        recipients=recipients, identities_env="NOW", previous_identities_env="BEFORE" if previous else None
    )


@pytest.fixture(
    params=["local", pytest.param("s3", marks=pytest.mark.slow), pytest.param("gcs", marks=pytest.mark.slow)]
)
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the store beneath."""
    if request.param == "local":
        return lambda: LocalStore(tmp_path / "store")
    found: Callable[[], Store] = request.getfixturevalue(f"{request.param}_server").opener(
        tmp_path / "scratch", new_prefix()
    )
    return found


@pytest.fixture
def store(plain: Callable[[], Store]) -> Store:
    return opener(plain, config(ONE, TWO), {"NOW": str(ONE)})()


def put(store: Store, key: str, content: bytes, *, wrong: bool = False) -> None:
    with store.scratch() as folder:
        (folder / "file").write_bytes(content)
        store.put_file(key, folder / "file", sha256=hashlib.sha256(content).hexdigest())
        assert not (folder / "file").exists()


@pytest.mark.parametrize("size", SIZES)
def test_content_comes_back_and_nothing_of_it_is_stored(
    store: Store, plain: Callable[[], Store], size: int
) -> None:
    content = random.Random(size).randbytes(size)
    assert store.put_new("t/new", content) and not store.put_new("t/new", b"other")
    put(store, "t/file", content)
    store.put_hint("t/hint", b"before")
    store.put_hint("t/hint", content)
    raw = plain()
    for key in ("t/new", "t/file", "t/hint"):
        assert store.read(key) == content and store.size(key) == size
        with store.local(key) as path:
            assert path.read_bytes() == content
            assert path.is_relative_to(store.folder)
        assert store.read_range(key, size // 2, 7) == content[size // 2 : size // 2 + 7]
        sealed = raw.read(key)
        assert sealed.startswith(MAGIC) and (size < 32 or content[:32] not in sealed)
        assert pyrage.decrypt(sealed, [TWO]) == content, "either recipient's identity opens it"
        assert store.address(key) is None
    assert store.list("t") == ["t/file", "t/hint", "t/new"]
    store.delete("t/new")
    with pytest.raises(KeyError):
        store.read("t/new")
    for absent in (store.size, store.read):
        with pytest.raises(KeyError):
            absent("t/none")


def test_the_program_age_opens_it(tmp_path: Path) -> None:
    program = shutil.which("age") or shutil.which("rage")
    if program is None:
        pytest.skip("neither age nor rage is installed; pyrage is another implementation's library")
    store = opener(lambda: LocalStore(tmp_path / "store"), config(ONE), {"NOW": str(ONE)})()
    store.put_new("a", b"rows")
    (tmp_path / "key").write_text(str(ONE))
    done = subprocess.run(
        [program, "-d", "-i", str(tmp_path / "key"), str(tmp_path / "store" / "a")],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"rows"


def test_a_wrong_or_missing_identity_is_named_and_never_shown(plain: Callable[[], Store]) -> None:
    opener(plain, config(ONE), {})().put_new("t/new", b"content")  # writing needs no identity
    missing = opener(plain, config(ONE), {})()
    wrong = opener(plain, config(ONE), {"NOW": str(OTHER)})()
    broken = opener(plain, config(ONE), {"NOW": "AGE-SECRET-KEY-1QQQQ"})()
    for reads in (lambda store: store.read("t/new"), lambda store: store.local("t/new").__enter__()):
        with pytest.raises(ConfigurationError, match="NOW is not set, or holds no identity"):
            reads(missing)
        with pytest.raises(
            ObjectSealed, match=r"The object t/new in .* cannot be opened: none of the identities in NOW"
        ) as found:
            reads(wrong)
        assert str(OTHER) not in str(found.value)
        with pytest.raises(ConfigurationError, match="NOW holds something that is not an identity") as found_:
            reads(broken)
        assert "QQQQ" not in str(found_.value)
    assert missing.size("t/new") == 7 == wrong.size("t/new"), "no key is needed for that"


def test_after_a_rotation_the_previous_identity_opens_what_is_old(plain: Callable[[], Store]) -> None:
    opener(plain, config(ONE), {})().put_new("t/old", b"old")
    opener(plain, config(TWO), {})().put_new("t/new", b"new")
    after = opener(
        plain, config(TWO, previous=True), {"NOW": str(TWO), "BEFORE": f"# kept until 2033\n{ONE}\n"}
    )()
    assert (after.read("t/old"), after.read("t/new")) == (b"old", b"new")
    forgotten = opener(plain, config(TWO, previous=True), {"NOW": str(TWO)})()
    assert forgotten.read("t/new") == b"new"
    with pytest.raises(ObjectSealed, match="none of the identities in NOW and BEFORE"):
        forgotten.read("t/old")


def test_damage_is_named(store: Store, plain: Callable[[], Store]) -> None:
    raw = plain()
    store.put_new("t/a", b"x" * 100_000)
    sealed = raw.read("t/a")
    for number, damaged in enumerate(
        (
            sealed[:-1],
            sealed[: len(sealed) // 2],
            sealed[:-5] + bytes([sealed[-5] ^ 1]) + sealed[-4:],
            sealed[:40],
        )
    ):
        raw.put_new(f"t/{number}", damaged)
        with pytest.raises(ObjectDamaged, match=f"The object t/{number} in "):
            store.read(f"t/{number}")
        with pytest.raises(ObjectDamaged), store.local(f"t/{number}"):
            pass


def test_what_was_there_before_is_read_as_it_is(store: Store, plain: Callable[[], Store]) -> None:
    plain().put_new("t/before", b"from before")
    assert store.read("t/before") == b"from before" and store.size("t/before") == 11
    assert store.read_range("t/before", 5, 3) == b"bef"
    store.put_new("t/after", b"x")
    assert isinstance(store, EncryptedStore)
    assert not store.is_encrypted("t/before") and store.is_encrypted("t/after")


@pytest.mark.parametrize("wrong", ["age1", "AGE-SECRET-KEY-1" + "Q" * 58, "age1" + "q" * 57, ""])
def test_a_recipient_is_a_public_key(wrong: str) -> None:
    with pytest.raises(ValueError):
        EncryptionConfig(recipients=(wrong,))


def test_a_recipient_that_only_looks_like_one_is_refused_when_it_is_used(tmp_path: Path) -> None:
    store = opener(lambda: LocalStore(tmp_path), EncryptionConfig(recipients=("age1" + "q" * 58,)), {})()
    with pytest.raises(ConfigurationError, match="is not a public key of age"):
        store.put_new("a", b"x")
    assert store.list("") == []
