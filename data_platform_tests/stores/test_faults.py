"""A bucket behind a bad network: every fault is either got over or said, and nothing half-written shows.

The S3 server is SeaweedFS; Google Cloud Storage is an emulator.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from data_platform.errors import LandingError, ObjectDamaged, StoreUnreachable
from data_platform.stores._remote import MB, RemoteStore, Transfer
from data_platform.stores.s3.store import S3Store
from data_platform_tests.servers.faulty import Break, FaultyProxy, faulty_proxy
from data_platform_tests.servers.objects import SECRET_KEY, ObjectServer, new_prefix

pytestmark = pytest.mark.slow

IMPATIENT = Transfer(
    attempts=3,
    connect_seconds=2,
    answer_seconds=1,
    pause_seconds_max=0.05,
    large_bytes=6 * MB,
    part_bytes=5 * MB,
)
BEFORE: tuple[Break, ...] = ("429", "500", "503", "reset", "time-out")
"""Faults after which nothing was done."""


@dataclass
class Behind:
    """``store`` is reached through ``proxy``, ``direct`` is the same store without it."""

    kind: str
    proxy: FaultyProxy
    store: RemoteStore
    direct: RemoteStore

    @property
    def send(self) -> str:
        """The method of the requests that send a small object, or a piece of a large one."""
        return "PUT" if self.kind == "s3" else "POST"

    @property
    def get_body(self) -> str:
        """What stands in the query, or path, of a request for an object's bytes only."""
        return "" if self.kind == "s3" else "alt=media"

    def is_piece(self, path: str) -> bool:
        """Whether a request sends one piece of a large file."""
        return ("partNumber=" if self.kind == "s3" else "uploadType=multipart") in path


@pytest.fixture(params=["s3", "gcs-emulator"])
def behind(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Behind]:
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )
    kind = {"s3": "s3", "gcs-emulator": "gcs"}[request.param]
    server: ObjectServer = request.getfixturevalue(f"{kind}_server")
    with faulty_proxy(server.url) as proxy:
        prefix = new_prefix()
        store = server.opener(tmp_path / "scratch", prefix, IMPATIENT, url=proxy.url)()
        direct = server.opener(tmp_path / "scratch", prefix, IMPATIENT)()
        yield Behind(kind, proxy, store, direct)


def said(error: BaseException, behind: Behind, key: str) -> None:
    """``error`` names the store and the object, in one paragraph, and no secret."""
    text = str(error)
    assert text.startswith(f"The store at {behind.store.url} could not "), text
    assert key in text
    assert "\n" not in text and SECRET_KEY not in text and "Signature=" not in text
    assert error.__cause__ is None and (error.__suppress_context__ or error.__context__ is None)


@pytest.mark.parametrize("fault", [*BEFORE, "short", "flip answer"])
def test_a_read_gets_over_one_fault_or_says_it(behind: Behind, fault: Break) -> None:
    data = random.Random(1).randbytes(100_000)
    behind.direct.put_new("t/a", data)
    behind.proxy.breaks(fault, "GET", path=lambda path: behind.get_body in path)
    try:
        assert behind.store.read("t/a") == data
    except ObjectDamaged as error:
        assert fault == "flip answer" and behind.kind == "gcs", error
        said(error, behind, "t/a")
    assert behind.proxy.broken() == [fault]
    assert behind.store.read("t/a") == data


@pytest.mark.parametrize("fault", ["503", "reset", "time-out", "short", "flip answer"])
def test_a_read_that_never_succeeds_is_said(behind: Behind, fault: Break) -> None:
    behind.direct.put_new("t/a", bytes(100_000))
    behind.proxy.breaks(fault, "GET", times=1_000, path=lambda path: behind.get_body in path)
    kind = ObjectDamaged if fault == "flip answer" else StoreUnreachable
    with pytest.raises(kind) as caught:
        behind.store.read("t/a")
    said(caught.value, behind, "t/a")
    assert caught.value.retryable
    assert len(behind.proxy.broken()) <= IMPATIENT.attempts


@pytest.mark.parametrize("fault", ["503", "reset", "time-out", "short", "flip answer"])
def test_a_large_file_is_fetched_over_a_fault_of_one_piece(
    behind: Behind, tmp_path: Path, fault: Break
) -> None:
    content = random.Random(3).randbytes(12 * MB)
    (tmp_path / "part").write_bytes(content)
    behind.direct.put_file("t/large", tmp_path / "part")
    behind.proxy.breaks(fault, "GET", path=lambda path: behind.get_body in path)
    try:
        with behind.store.local("t/large") as path:
            assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(content).digest()
    except ObjectDamaged as error:
        assert fault == "flip answer", error
        said(error, behind, "t/large")
    assert behind.proxy.broken() == [fault]


@pytest.mark.parametrize("fault", ["429", "503", "reset", "time-out"])
def test_listing_size_and_delete_get_over_a_fault(behind: Behind, fault: Break) -> None:
    behind.direct.put_new("t/a", b"abc")
    for method in ("GET", "HEAD", "DELETE"):
        behind.proxy.breaks(fault, method)
    assert behind.store.list("t") == ["t/a"]
    assert behind.store.size("t/a") == 3
    behind.store.delete("t/a")
    assert behind.direct.list("") == []


@pytest.mark.parametrize("behind", ["s3"], indirect=True)
def test_a_listing_that_was_altered_on_its_way_is_asked_for_again(behind: Behind) -> None:
    """The middle of the answer lies in the folder's long name."""
    folder = "/".join(["wal"] * 100)
    behind.direct.put_new(f"{folder}/a", b"abc")
    behind.proxy.breaks("flip answer", "GET")
    assert behind.store.list(folder) == [f"{folder}/a"]
    assert behind.proxy.broken() == ["flip answer"]
    behind.proxy.breaks("flip answer", "GET", times=1_000)
    with pytest.raises(ObjectDamaged, match="each of 3 times") as caught:
        behind.store.list(folder)
    said(caught.value, behind, folder)
    assert caught.value.retryable


@pytest.mark.parametrize("behind", ["s3"], indirect=True)
def test_a_listing_broken_anywhere_names_nothing_that_could_not_be(
    behind: Behind, seeds: Callable[[int], Sequence[int]]
) -> None:
    """Each byte of the answer in turn (a sample of them unless `--seeds N`): no name is lost, and none is elsewhere."""
    step = 1 if len(seeds(1)) > 1 else 53
    behind.direct.put_new("folder/a", b"abc")
    behind.proxy.breaks("flip answer 0", "GET")
    behind.store.list("folder")
    for number in range(0, behind.proxy.flipped_bytes, step):
        behind.proxy.breaks(f"flip answer {number}", "GET")
        found = behind.store.list("folder")
        assert all(name.startswith("folder/") for name in found) and len(found) == 1, (number, found)


@pytest.mark.parametrize("fault", [*BEFORE, "lose answer"])
def test_a_create_gets_over_one_fault_and_knows_its_own_object(behind: Behind, fault: Break) -> None:
    behind.proxy.breaks(fault, behind.send)
    assert behind.store.put_new("t/a", b"mine")
    assert behind.proxy.broken() == [fault]
    assert not behind.store.put_new("t/a", b"mine"), "without a lost answer equal bytes are another's"
    assert behind.direct.read("t/a") == b"mine"


def test_a_create_whose_answer_is_always_lost_is_settled_by_reading(behind: Behind) -> None:
    behind.proxy.breaks("lose answer", behind.send, times=1_000)
    assert behind.store.put_new("t/a", b"mine")
    assert not behind.store.put_new("t/a", b"other")
    assert behind.direct.read("t/a") == b"mine"


def test_a_create_that_lost_its_answer_and_the_race_says_so(behind: Behind) -> None:
    behind.direct.put_new("t/a", b"theirs")
    behind.proxy.breaks("lose answer", behind.send)
    assert not behind.store.put_new("t/a", b"mine")
    assert behind.direct.read("t/a") == b"theirs"


@pytest.mark.parametrize("fault", BEFORE)
def test_a_create_that_never_succeeds_is_said_and_leaves_nothing(behind: Behind, fault: Break) -> None:
    behind.proxy.breaks(fault, behind.send, times=1_000)
    with pytest.raises(StoreUnreachable) as caught:
        behind.store.put_new("t/a", b"mine")
    said(caught.value, behind, "t/a")
    assert len(behind.proxy.broken()) == IMPATIENT.attempts
    assert behind.direct.list("") == []


@pytest.mark.parametrize("size", [100_000, 12 * MB])
def test_a_byte_altered_on_its_way_is_caught(behind: Behind, tmp_path: Path, size: int) -> None:
    content = random.Random(4).randbytes(size)
    (tmp_path / "part").write_bytes(content)
    behind.proxy.breaks("flip", behind.send, path=lambda path: size < MB or behind.is_piece(path))
    try:
        behind.store.put_file("t/part", tmp_path / "part", sha256=hashlib.sha256(content).hexdigest())
    except LandingError as error:
        said(error, behind, "t/part")
        assert behind.direct.list("") == []
        assert (tmp_path / "part").read_bytes() == content
    else:
        assert behind.direct.read("t/part") == content
    assert behind.proxy.broken()


def test_a_manifest_altered_on_its_way_is_caught(behind: Behind) -> None:
    data = random.Random(5).randbytes(10_000)
    behind.proxy.breaks("flip", behind.send)
    with pytest.raises(ObjectDamaged) as caught:
        behind.store.put_new("t/a", data)
    said(caught.value, behind, "t/a")
    assert behind.direct.list("") == []
    assert behind.store.put_new("t/a", data)


@pytest.mark.parametrize("fault", [*BEFORE, "lose answer"])
def test_a_large_file_gets_over_a_fault_of_one_piece(behind: Behind, tmp_path: Path, fault: Break) -> None:
    content = random.Random(6).randbytes(12 * MB)
    (tmp_path / "part").write_bytes(content)
    behind.proxy.breaks(fault, behind.send, path=behind.is_piece)
    behind.store.put_file("t/part", tmp_path / "part", sha256=hashlib.sha256(content).hexdigest())
    assert behind.proxy.broken() == [fault]
    assert behind.direct.list("") == ["t/part"]
    assert behind.direct.read("t/part") == content


@pytest.mark.parametrize("fault", ["503", "lose answer"])
def test_a_large_file_gets_over_a_fault_of_its_completion(
    behind: Behind, tmp_path: Path, fault: Break
) -> None:
    content = random.Random(8).randbytes(12 * MB)
    (tmp_path / "part").write_bytes(content)
    completes = "uploadId=" if behind.kind == "s3" else "/compose"
    behind.proxy.breaks(fault, "POST", path=lambda path: completes in path)
    behind.store.put_file("t/part", tmp_path / "part", sha256=hashlib.sha256(content).hexdigest())
    assert behind.proxy.broken() == [fault]
    assert behind.direct.list("") == ["t/part"]
    assert behind.direct.read("t/part") == content


def test_an_upload_that_is_gone_because_it_was_completed_is_done(behind: Behind, tmp_path: Path) -> None:
    """As S3 answers a while after the completion whose answer was lost."""
    if behind.kind == "gcs":
        pytest.skip("Google has no such answer")
    content = random.Random(9).randbytes(12 * MB)

    def put(key: str) -> None:
        (tmp_path / "part").write_bytes(content)
        behind.proxy.breaks("404 NoSuchUpload", "POST", path=lambda path: "uploadId=" in path)
        behind.store.put_file(key, tmp_path / "part")

    behind.proxy.breaks("lose answer", "POST", path=lambda path: "uploadId=" in path)
    put("t/part")
    assert behind.direct.read("t/part") == content
    with pytest.raises(LandingError, match="NoSuchUpload"):
        put("t/never")
    assert behind.direct.list("") == ["t/part"]


def test_a_large_file_that_never_arrives_leaves_nothing(behind: Behind, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(bytes(12 * MB))
    behind.proxy.breaks("503", behind.send, times=1_000, path=behind.is_piece)
    with pytest.raises(StoreUnreachable) as caught:
        behind.store.put_file("t/part", tmp_path / "part")
    said(caught.value, behind, "t/part")
    assert behind.direct.list("") == []
    assert (tmp_path / "part").exists(), "what did not arrive is still here"
    if isinstance(behind.direct, S3Store):
        client, bucket = behind.direct._client, behind.direct.config.bucket
        assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    else:
        found = behind.direct._bucket.list_blobs(prefix=behind.direct._prefix)  # type: ignore[attr-defined]
        assert list(found) == [], "no piece either"


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_two_pieces_are_on_their_way_at_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: ObjectServer = request.getfixturevalue(f"{kind}_server")
    (tmp_path / "part").write_bytes(bytes(12 * MB))
    with faulty_proxy(server.url) as proxy:
        transfer = replace(IMPATIENT, answer_seconds=60)
        store = server.opener(tmp_path / "scratch", new_prefix(), transfer, url=proxy.url)()
        proxy.breaks("meet", "PUT", times=2, path=lambda path: "partNumber=" in path)
        proxy.breaks("meet", "POST", times=2, path=lambda path: "uploadType=multipart" in path)
        store.put_file("t/part", tmp_path / "part")
        assert proxy.broken() == ["meet", "meet"]
        assert not proxy.meeting.broken, "the second waited for the first"


def test_what_was_just_put_is_not_fetched_again(behind: Behind) -> None:
    with behind.store.scratch() as folder:
        (folder / "part").write_bytes(b"rows")
        behind.store.put_file("t/part", folder / "part")
        behind.proxy.seen.clear()
        with behind.store.local("t/part") as path:
            assert path.read_bytes() == b"rows"
        assert behind.proxy.seen == []
    with behind.store.local("t/part") as path:
        assert path.read_bytes() == b"rows"
    assert behind.proxy.seen


def test_a_conflict_of_two_creates_is_tried_again(behind: Behind) -> None:
    if behind.kind == "gcs":
        pytest.skip("Google has no such answer")
    behind.proxy.breaks("409 ConditionalRequestConflict", "PUT")
    assert behind.store.put_new("t/a", b"mine")
    assert behind.direct.read("t/a") == b"mine"


def test_a_service_that_names_no_checksum_is_read_back(behind: Behind, tmp_path: Path) -> None:
    if behind.kind == "gcs":
        pytest.skip("Google always names one")
    behind.proxy.strips = "x-amz-checksum-sha256"
    for key, size in (("t/small", 100_000), ("t/large", 12 * MB)):
        content = random.Random(size).randbytes(size)
        (tmp_path / "part").write_bytes(content)
        behind.store.put_file(key, tmp_path / "part", sha256=hashlib.sha256(content).hexdigest())
        assert behind.direct.read(key) == content
    assert behind.store.put_new("t/new", b"mine")
    got = [path.rsplit("/", 1)[-1] for method, path, _ in behind.proxy.seen if method == "GET"]
    assert got == ["small", "large", "new"]


def test_what_reads_back_otherwise_is_taken_away(behind: Behind) -> None:
    if not isinstance(behind.store, S3Store):
        pytest.skip("Google always names a checksum")
    behind.direct.put_new("t/a", b"other bytes")
    with pytest.raises(ObjectDamaged) as caught, behind.store._readable_errors("write", "t/a"):
        behind.store._read_back("t/a", behind.store._name("t/a"), hashlib.sha256(b"bytes").digest())
    said(caught.value, behind, "t/a")
    assert behind.direct.list("") == []


@pytest.mark.parametrize("fault", [*BEFORE, "lose answer", "flip"])
def test_an_upload_that_goes_on_where_it_broke_off(
    gcs_server: ObjectServer, tmp_path: Path, fault: Break
) -> None:
    """Google's client sends pieces of more than 8 MB chunk by chunk."""
    content = random.Random(7).randbytes(20 * MB)
    (tmp_path / "part").write_bytes(content)
    seconds = 2 if fault == "time-out" else 20
    transfer = replace(IMPATIENT, part_bytes=9 * MB, answer_seconds=seconds)
    with faulty_proxy(gcs_server.url) as proxy:
        opener = gcs_server.opener(tmp_path / "scratch", new_prefix(), transfer, url=proxy.url)
        store = opener()
        proxy.breaks(fault, "PUT", path=lambda path: "upload_id=" in path)
        try:
            store.put_file("t/part", tmp_path / "part", sha256=hashlib.sha256(content).hexdigest())
        except LandingError as error:
            assert "s://" in str(error) and "t/part" in str(error) and error.retryable
            assert store.list("") == []
            store.put_file("t/part", tmp_path / "part", sha256=hashlib.sha256(content).hexdigest())
            assert fault in ("flip", "lose answer")
        assert proxy.broken() == [fault]
        assert store.list("") == ["t/part"]
        assert store.read("t/part") == content


def test_an_upload_that_the_service_forgot_is_said_and_works_again(
    gcs_server: ObjectServer, tmp_path: Path
) -> None:
    content = random.Random(8).randbytes(20 * MB)
    (tmp_path / "part").write_bytes(content)
    with faulty_proxy(gcs_server.url) as proxy:
        transfer = replace(IMPATIENT, part_bytes=9 * MB, answer_seconds=20)
        store = gcs_server.opener(tmp_path / "scratch", new_prefix(), transfer, url=proxy.url)()
        proxy.breaks("404 NotFound", "PUT", path=lambda path: "upload_id=" in path)
        with pytest.raises(StoreUnreachable, match=r"could not write t/part: .* no longer knows the upload"):
            store.put_file("t/part", tmp_path / "part")
        assert store.list("") == []
        store.put_file("t/part", tmp_path / "part")
        assert store.read("t/part") == content
