"""A bucket behind a bad network while a database is backed up and recovered: one fault is got over, a bucket that stays away is
said and holds up no other store, and afterwards it gets what it lacks. The bucket is SeaweedFS's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from data_platform.backups.database import carry
from data_platform.backups.database.repository import Repository
from data_platform.errors import DataPlatformError
from data_platform.sync.backup import archives
from data_platform.sync.database_backup import DatabaseReport, back_up_database
from data_platform.sync.recovery import drill_database
from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.backups.database.recovering.shop import Shop
from data_platform_tests.servers.faulty import FaultyProxy, faulty_proxy
from data_platform_tests.servers.objects import ENVIRON, SECRET_KEY, ObjectServer, new_prefix

pytestmark = pytest.mark.slow
FOR_EVER = float("inf")


@dataclass
class Remote:
    """A shop whose archive ``offsite`` is a bucket behind ``proxy``."""

    shop: Shop
    proxy: FaultyProxy

    def back_up(self, *, full: bool = False) -> DatabaseReport:
        return back_up_database(self.shop.platform, "shop", full=full)

    def requests(self, act: Callable[[], object]) -> int:
        """How many requests ``act`` makes."""
        before = len(self.proxy.seen)
        act()
        return len(self.proxy.seen) - before

    def heal(self) -> None:
        self.proxy.faults.clear()

    def assert_whole(self) -> None:
        """Both archives hold the same backups, and every byte is right."""
        ids = []
        for one in archives(self.shop.platform):
            there = Repository(one, "shop")
            assert [there.damage(there.backup(id_), deep=True) for id_ in there.ids()] == [
                [] for _ in there.ids()
            ]
            ids.append(there.ids())
        assert ids[0] == ids[1] and ids[0]

    def recoverable(self) -> datetime:
        self.shop.company.execute("delete from orders where id > 500")
        self.shop.ship()
        at = self.shop.now()
        self.shop.company.execute("truncate orders")
        self.shop.ship()
        return at


@pytest.fixture
def remote(
    company: Company, server_folder: Path, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Remote]:
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )
    monkeypatch.setattr(carry, "PAUSES", (0,))
    folder = server_folder / f"recovered-{company.database}"
    folder.mkdir(mode=0o711)
    with faulty_proxy(s3_server.url) as proxy:
        bucket = s3_server.config(new_prefix(), proxy.url, cache=str(company.root / "cache"))
        shop = Shop(company, folder, f"{{offsite: {json.dumps(bucket)}}}")
        shop.platform.environ.update(ENVIRON)  # type: ignore[attr-defined]
        shop.ship()
        yield Remote(shop, proxy)


@pytest.fixture
def sampled(seeds: Callable[[int], Sequence[int]]) -> Callable[[int], Sequence[int]]:
    """The requests that fail: every one if all are asked for (`--seeds N`)."""
    everywhere = len(seeds(1)) > 1

    def chosen(requests: int) -> Sequence[int]:
        return range(requests) if everywhere else [requests // 2]

    return chosen


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> str:
    """One marked with a `+` is broken on demand: a bucket's own tests have samples of it already."""
    if request.param.startswith("+"):
        request.getfixturevalue("thorough")
    return str(request.param.removeprefix("+"))


@pytest.mark.parametrize("fault", ["503", "+reset", "+short", "+lose answer", "+slow"], indirect=True)
def test_one_fault_of_a_backup_is_got_over(
    remote: Remote, fault: str, sampled: Callable[[int], Sequence[int]]
) -> None:
    requests = remote.requests(lambda: remote.back_up(full=True))
    for number in sampled(requests):
        remote.proxy.breaks_at(fault, number)
        report = remote.back_up(full=True)
        remote.heal()
        assert report.stored == ("primary", "offsite") and not report.failed, (number, report)
    remote.assert_whole()
    assert fault in remote.proxy.broken()


@pytest.mark.parametrize("fault", ["reset", "+503"], indirect=True)
def test_a_bucket_that_stays_away_is_said_and_gets_what_it_lacks(
    remote: Remote, fault: str, sampled: Callable[[int], Sequence[int]]
) -> None:
    requests = remote.requests(lambda: remote.back_up(full=True))
    for number in sampled(requests - 1):
        remote.proxy.breaks_at(fault, number, FOR_EVER)
        report = remote.back_up(full=True)
        assert "primary" in report.stored, number
        if "offsite" not in report.stored:  # else its last answers were lost, and all of it had arrived
            said = str(report.failed["offsite"])
            assert "/landing/" in said and "could not" in said and SECRET_KEY not in said, said
        remote.heal()
        before = len(remote.proxy.seen)
        again = remote.back_up()
        assert (
            again.stored == ("primary", "offsite") and not again.failed and again.backup.way == "incremental"
        )
        puts = Counter(path for method, path, _ in remote.proxy.seen[before:] if method == "PUT")
        assert max(puts.values()) == 1, "nothing is sent twice"
        remote.assert_whole()


@pytest.mark.parametrize("fault", ["+503", "+reset", "+short", "+flip answer", "+slow"], indirect=True)
def test_one_fault_of_a_recovery_is_got_over(
    remote: Remote, fault: str, sampled: Callable[[int], Sequence[int]]
) -> None:
    remote.back_up()
    at = remote.recoverable()
    requests = remote.requests(lambda: remote.shop.recover(at, "clean", copy="offsite"))
    for number in sampled(requests):
        remote.proxy.breaks_at(fault, number)
        found = remote.shop.recover(at, f"at-{number}", copy="offsite")
        remote.heal()
        assert found.rows[remote.shop.orders] == 500, number
    assert fault in remote.proxy.broken()


def test_a_bucket_that_goes_away_ends_a_recovery_by_name_and_leaves_nothing(
    remote: Remote, sampled: Callable[[int], Sequence[int]]
) -> None:
    remote.back_up()
    at = remote.recoverable()
    requests = remote.requests(lambda: remote.shop.recover(at, "clean", copy="offsite"))
    into = remote.shop.folder / "recovered"
    for number in sampled(requests):
        remote.proxy.breaks_at("reset", number, FOR_EVER)
        with pytest.raises(DataPlatformError, match="could not") as caught:
            remote.shop.recover(at, copy="offsite")
        assert "/landing/" in str(caught.value) and SECRET_KEY not in str(caught.value)
        remote.heal()
        assert not into.exists() or list(into.iterdir()) == []
    assert remote.shop.recover(at, copy="offsite").rows[remote.shop.orders] == 500
    remote.assert_whole()


def test_credentials_that_have_expired_turn_the_drill_red_by_the_store_s_name(remote: Remote) -> None:
    """As S3 answers then; the other archive's drill stays green."""
    remote.back_up()
    remote.recoverable()
    remote.proxy.breaks_at("400 ExpiredToken", 0, FOR_EVER)
    good, bad = drill_database(remote.shop.platform, "shop", 1)
    assert not good.problem and good.report
    assert bad.report is None and "the credentials have expired" in bad.problem and "s3://" in bad.problem


@pytest.mark.usefixtures("thorough")
def test_credentials_that_are_wrong_turn_the_drill_red_by_the_store_s_name(remote: Remote) -> None:
    """SeaweedFS itself refuses them."""
    remote.back_up()
    remote.recoverable()
    remote.shop.platform.environ["TEST_SECRET_KEY"] = "another-secret"  # type: ignore[index]
    good, bad = drill_database(remote.shop.platform, "shop", 1)
    assert not good.problem and bad.report is None
    assert "the credentials are wrong" in bad.problem and "s3://" in bad.problem
