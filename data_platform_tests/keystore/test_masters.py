"""Master keys. AWS KMS is moto in the test's process, Google's a stand-in of our own; what neither has (permissions, quotas, key rotation inside
the service), no test here shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from data_platform.errors import ConfigurationError
from data_platform.keystore.masters import Master
from data_platform.keystore.masters.aws_kms import AwsKmsMasterConfig
from data_platform.keystore.masters.environment import EnvironmentMasterConfig
from data_platform.keystore.masters.gcp_kms import GcpKmsMasterConfig
from data_platform_tests.keystore import stand_in

SECRET = "of-the-tests-at-least-32-characters"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Two keys of a KMS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-tests")
    with mock_aws():
        client = boto3.client("kms", region_name="eu-central-1")
        yield tuple(client.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))  # type: ignore[misc]


@pytest.fixture(params=["environment", "aws_kms", "gcp_kms"])
def masters(request: pytest.FixtureRequest) -> Iterator[tuple[Master, Master]]:
    """Two masters of one kind."""
    if request.param == "environment":
        config = EnvironmentMasterConfig(key_env="MASTER")
        yield config.open({"MASTER": SECRET}), config.open({"MASTER": SECRET[::-1]})
    elif request.param == "aws_kms":
        one, other = request.getfixturevalue("aws")
        made = [
            AwsKmsMasterConfig(kind="aws_kms", key=key, region="eu-central-1").open({})
            for key in (one, other)
        ]
        yield made[0], made[1]
    else:
        with stand_in.serving() as kms:
            kms.keys[stand_in.KEY + "2"] = stand_in.AESGCM(os.urandom(32))
            made = [
                GcpKmsMasterConfig(kind="gcp_kms", key=key, endpoint_url=kms.url).open({})
                for key in (stand_in.KEY, stand_in.KEY + "2")
            ]
            yield made[0], made[1]


def test_what_a_master_wraps_it_unwraps_and_nobody_else_does(masters: tuple[Master, Master]) -> None:
    one, other = masters
    key = os.urandom(32)
    wrapped = one.wrap(key, "keystore 1")
    assert one.unwrap(wrapped, "keystore 1") == key
    assert key not in wrapped and one.name != other.name
    for master, text, purpose in (
        (one, wrapped, "keystore 2"),
        (other, wrapped, "keystore 1"),
        (one, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), "keystore 1"),
        (one, wrapped[:20], "keystore 1"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            master.unwrap(text, purpose)
        assert master.label in str(caught.value)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", ["", "much-too-few", " " * 40])
def test_a_variable_that_is_no_key_is_named(value: str) -> None:
    with pytest.raises(ConfigurationError, match="MASTER") as caught:
        EnvironmentMasterConfig(key_env="MASTER").open({"MASTER": value})
    assert not value.strip() or value not in str(caught.value)


def test_a_key_that_aws_does_not_have_is_named(aws: tuple[str, str]) -> None:
    missing: Any = AwsKmsMasterConfig(kind="aws_kms", key="alias/none", region="eu-central-1").open({})
    with pytest.raises(ConfigurationError, match=r"alias/none refused Encrypt \(NotFoundException\)"):
        missing.wrap(b"k" * 32, "x")


def test_google_is_asked_again_and_a_damaged_answer_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with stand_in.serving() as kms:
        master = GcpKmsMasterConfig(kind="gcp_kms", key=stand_in.KEY, endpoint_url=kms.url).open({})
        kms.failing = 2
        wrapped = master.wrap(b"k" * 32, "x")
        assert len(kms.requests) == 3
        kms.failing = 9
        with pytest.raises(ConfigurationError, match="HTTP 503"):
            master.unwrap(wrapped, "x")
        kms.failing, kms.damaging = 0, True
        with pytest.raises(ConfigurationError, match="damaged on its way"):
            master.unwrap(wrapped, "x")
        gone = GcpKmsMasterConfig(kind="gcp_kms", key=stand_in.KEY + "9", endpoint_url=kms.url).open({})
        with pytest.raises(ConfigurationError, match="HTTP 404"):
            gone.wrap(b"k" * 32, "x")
    with pytest.raises(ConfigurationError, match="could not be asked"):
        master.wrap(b"k" * 32, "x")
