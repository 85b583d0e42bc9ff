"""Files where no path of this machine leads: buckets and SFTP, on servers that are real but for Google's."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from data_platform.catalog.load import load_catalog
from data_platform.errors import CatalogError, SourceError
from data_platform.sources.files.connection import Address, FilesConnection, address
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.places import place_of, remote
from data_platform.sources.kinds import discover
from data_platform.sources.looking import Privacy
from data_platform_tests.servers.objects import ACCESS_KEY, BUCKET, SECRET_KEY, ObjectServer, new_prefix
from data_platform_tests.servers.sftp import PASSWORD, SftpServer, sftp_server
from data_platform_tests.sources.files.company import Company

SECRET = {"KEY_ID": ACCESS_KEY, "SECRET": SECRET_KEY, "SFTP_PASSWORD": PASSWORD}


@dataclass
class There:
    """A place that a test writes to."""

    connection: Mapping[str, Any]
    put: Callable[[str, bytes], Any]
    delete: Callable[[str], Any]

    def place(self) -> Any:
        return place_of(FilesConnection.model_validate(self.connection), SECRET, "office")


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture
def on_s3(s3_server: ObjectServer, tmp_path: Path) -> There:
    prefix = new_prefix()
    store: Any = s3_server.opener(tmp_path / "scratch", prefix)()
    connection = {
        "location": f"s3://{BUCKET}/{prefix}",
        "endpoint_url": s3_server.url,
        "region": "us-east-1",
        "access_key_env": "KEY_ID",
        "secret_key_env": "SECRET",
    }
    return There(
        connection,
        lambda path, data: store._client.put_object(Bucket=BUCKET, Key=f"{prefix}/{path}", Body=data),
        lambda path: store._client.delete_object(Bucket=BUCKET, Key=f"{prefix}/{path}"),
    )


@pytest.fixture
def on_gcs(gcs_server: ObjectServer, tmp_path: Path) -> There:
    prefix = new_prefix()
    store: Any = gcs_server.opener(tmp_path / "scratch", prefix)()
    return There(
        {"location": f"gs://{BUCKET}/{prefix}", "endpoint_url": gcs_server.url},
        lambda path, data: store._bucket.blob(f"{prefix}/{path}").upload_from_string(data),
        lambda path: store._bucket.blob(f"{prefix}/{path}").delete(),
    )


@pytest.fixture
def on_sftp(sftp: SftpServer) -> There:
    home = sftp.folder / "exports" / new_prefix()
    home.mkdir(parents=True)

    def put(path: str, data: bytes) -> None:
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        before = int(file.stat().st_mtime) if file.exists() else 1_600_000_000
        file.write_bytes(data)
        os.utime(file, (before + 60, before + 60))

    connection = {
        "location": f"{sftp.url}/{home.name}",
        "host_key": sftp.host_key,
        "password_env": "SFTP_PASSWORD",
    }
    return There(connection, put, lambda path: (home / path).unlink())


@pytest.fixture(
    params=[*(pytest.param(name, marks=pytest.mark.slow) for name in ("on_s3", "on_gcs")), "on_sftp"]
)
def there(request: pytest.FixtureRequest) -> There:
    found: There = request.getfixturevalue(request.param)
    return found


def test_what_comes_changes_and_goes_is_followed(there: There, tmp_path: Path) -> None:
    company = Company(tmp_path, 5, SECRET)
    there.put("2026-01-31/a.csv.gz", gzip.compress("id,city\n1,Köln\n".encode()))
    there.put("2026-02-01/b c.csv.gz", gzip.compress(b"id,city\n2,Ulm\n"))
    there.put("2026-02-01/.hidden.csv.gz", b"")
    there.put("other.csv", b"x\n1\n")
    company.catalog(connection=there.connection, files="{date}/*.csv.gz", on_delete="delete").good()
    assert company.rows("_file, _date::VARCHAR, id, city") == [
        ("2026-01-31/a.csv.gz", "2026-01-31", "1", "Köln"),
        ("2026-02-01/b c.csv.gz", "2026-02-01", "2", "Ulm"),
    ]
    assert company.moved() is False and company.good().rows == 0
    there.put("2026-01-31/a.csv.gz", gzip.compress(b"id,city\n3,Bonn\n4,Bonn\n"))
    there.put("2026-01-01/late.csv.gz", gzip.compress(b"id,city\n5,Trier\n"))
    there.delete("2026-02-01/b c.csv.gz")
    assert company.moved() is True
    company.good()
    assert company.rows("id", "id") == [("3",), ("4",), ("5",)]
    assert company.moved() is False


def test_json_and_parquet_are_read_there_too(there: There, tmp_path: Path) -> None:
    company = Company(tmp_path, 5, SECRET)
    there.put("a.ndjson", b'{"id":1}\n{"id":2}\n')
    company.catalog(connection=there.connection, files="*.ndjson").good()
    assert company.rows("id") == [(1,), (2,)]
    text = discover(
        "files",
        {key: str(value) for key, value in there.connection.items()},
        source="office",
        environ=SECRET,
        today=date(2026, 2, 2),
        privacy=Privacy(lambda *_: None, lambda *_: None, lambda *_: "hash"),
    )
    (company.root / "catalog" / "sources" / "office.yaml").write_text(text)
    load_catalog(company.root)
    assert str(there.connection["location"]) in text and "a.ndjson" in text


def test_a_listing_has_an_end(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(25):
        there.put(f"in/{n:03}.csv", b"id\n")
    monkeypatch.setattr(remote, "PAGE", 10)
    with there.place() as place:
        assert sorted(place.list(Pattern("in/*.csv"))) == [f"in/{n:03}.csv" for n in range(25)]
        assert place.list(Pattern("in/00*.csv")).keys() == {f"in/{n:03}.csv" for n in range(10)}
        monkeypatch.setattr(remote, "LOOKED_AT_MAX", 15)
        with pytest.raises(SourceError, match="had to be looked at"):
            place.list(Pattern("in/*.csv"))


def test_a_file_that_changes_after_it_was_listed_is_not_taken_for_it(there: There, tmp_path: Path) -> None:
    there.put("a.csv", b"id\n1\n")
    with there.place() as place:
        listed = place.list(Pattern("*.csv"))["a.csv"]
        there.put("a.csv", b"id\n1\n2\n")
        try:
            place.fetch(listed, tmp_path)
        except SourceError as error:
            assert "a.csv" in str(error) and "changed" in str(error)
        else:
            assert not place.same(listed)
        there.delete("a.csv")
        with pytest.raises(SourceError, match=r"a\.csv"):
            place.fetch(listed, tmp_path)


@pytest.mark.parametrize(
    ("changes", "environ", "words"),
    [
        ({"location": "s3://no-such-bucket-here"}, SECRET, "no such bucket"),
        ({}, {**SECRET, "SECRET": "wrong-secret"}, "credentials are wrong"),
        ({}, {"KEY_ID": "x"}, "SECRET is not set"),
        ({"endpoint_url": "http://127.0.0.1:9"}, SECRET, "no answer"),
    ],
)
def test_what_s3_refuses_is_said(
    on_s3: There, changes: Any, environ: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_platform.sources.files.places import s3

    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    company = Company(tmp_path, 5, environ)
    refused = company.catalog(connection={**on_s3.connection, **changes}).refused()
    assert words in refused and SECRET_KEY not in refused and "wrong-secret" not in refused


def test_what_gcs_refuses_is_said(on_gcs: There, tmp_path: Path) -> None:
    company = Company(tmp_path, 5, {"GOOGLE": "no key"})
    there = {**on_gcs.connection, "location": "gs://no-such-bucket-here"}
    assert "no such bucket" in company.catalog(connection=there).refused()
    there["credentials_env"] = "GOOGLE"
    refused = company.catalog(connection=there).refused()
    assert "GOOGLE holds no service account's key" in refused and "no key" not in refused


def test_a_server_is_known_by_its_key_alone(
    on_sftp: There, sftp: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_sftp.put("a.csv", b"id\n1\n")
    company = Company(tmp_path, 5, SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))

    def refused(**changes: Any) -> str:
        given = {**on_sftp.connection, **changes}
        return company.catalog(connection={k: v for k, v in given.items() if v is not None}).refused()

    assert "key is not known" in refused(host_key=None)
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Xg2mN8gkZ0xvGyH3b9pZQ3F5Ffi5mUJw6vYb1oZ7A"
    assert "another key" in refused(host_key=other)
    assert "no public key" in refused(host_key="ssh-ed25519 AAAA")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{sftp.port} {sftp.host_key}\n")
    company.catalog(connection={k: v for k, v in on_sftp.connection.items() if k != "host_key"}).good()
    assert company.rows("id") == [("1",)]


def test_what_sftp_refuses_is_said(on_sftp: There, sftp: SftpServer, tmp_path: Path) -> None:
    company = Company(tmp_path, 5, {"SFTP_PASSWORD": "wrong-password", "PRIVATE": sftp.private_key})
    refused = company.catalog(connection=on_sftp.connection).refused()
    assert "does not take the credentials" in refused and "wrong-password" not in refused
    by_key = {key: value for key, value in on_sftp.connection.items() if key != "password_env"}
    by_key["private_key_env"] = "PRIVATE"
    on_sftp.put("a.csv", b"id\n1\n")
    company.catalog(connection=by_key).good()
    company.environ = {"PRIVATE": str(tmp_path / "no-file")}
    assert "holds no private key" in company.refused()
    company.environ = {"PRIVATE": sftp.private_key}
    assert (
        "no such folder" in company.catalog(connection={**by_key, "location": f"{sftp.url}/none"}).refused()
    )
    nowhere = sftp.url.replace(str(sftp.port), "9")
    assert "Check the network" in company.catalog(connection={**by_key, "location": nowhere}).refused()


def test_a_file_that_is_still_uploaded_is_left(on_sftp: There, sftp: SftpServer, tmp_path: Path) -> None:
    company = Company(tmp_path, 3600, SECRET)
    on_sftp.put("a.csv", b"id\n1\n")
    fresh = sftp.folder / "exports" / str(on_sftp.connection["location"]).rpartition("/")[2] / "b.csv"
    fresh.write_bytes(b"id\n2")
    report = company.catalog(connection=on_sftp.connection).good()
    assert "1 file still being written" in " ".join(report.notes)
    assert company.rows("id") == [("1",)]
    assert not any(path.endswith("/b.csv") for path in sftp.opened)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://acme-exports", ("s3", "acme-exports", "", None, None)),
        ("gs://acme.exports/a/b%20c/", ("gs", "acme.exports", "a/b c/", None, None)),
        ("sftp://me@files.example", ("sftp", "files.example", "/", 22, "me")),
        ("sftp://me@files.example:2222/in", ("sftp", "files.example", "/in/", 2222, "me")),
        ("sftp://me@files.example/~/in", ("sftp", "files.example", "in/", 22, "me")),
        ("sftp://me@files.example/~", ("sftp", "files.example", "", 22, "me")),
    ],
)
def test_addresses(url: str, parts: tuple[Any, ...]) -> None:
    assert address(url) == Address(*parts)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"location": "sftp://me:hunter2@files.example/in"}, "holds a password"),
        ({"location": "s3://KEY:hunter2@acme-exports"}, "holds a password"),
        ({"location": "sftp://files.example/in"}, "names no user"),
        ({"location": "ftp://me@files.example/in"}, "must be s3://"),
        ({"location": "s3://Acme_hunter2"}, "names no bucket"),
        ({"location": "s3://acme-exports/../x"}, "without dots"),
        ({"location": "s3://acme-exports", "path": "x"}, "exactly one"),
        ({"path": "x", "region": "eu"}, "`region` is for a `location` that begins with s3://"),
        ({"location": "s3://acme-exports", "password_env": "X"}, "`password_env` is for a `location`"),
        ({"location": "s3://acme-exports", "access_key_env": "X"}, "belong together"),
        ({"location": "sftp://me@files.example", "host_key": "what"}, "no public key"),
    ],
)
def test_what_is_no_connection(tmp_path: Path, connection: Any, words: str) -> None:
    with pytest.raises(CatalogError) as found:
        load_catalog(Company(tmp_path).catalog(connection=connection).root)
    assert words in str(found.value) and "hunter2" not in str(found.value)
