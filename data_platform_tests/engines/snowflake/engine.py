"""Warehouses for tests: in the emulator, or in an account where the environment names one. A database a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from data_platform.warehouses.snowflake.config import SnowflakeConfig
from data_platform.warehouses.snowflake.connect import Connector
from data_platform.warehouses.snowflake.session import SnowflakeSession
from data_platform_tests.engines.snowflake.server import HOST, snowflake_emulator

SERVICE = "DATA_PLATFORM_TEST_SNOWFLAKE_"
"""ACCOUNT, USER, ROLE, WAREHOUSE and PRIVATE_KEY: an account whose role may make databases. Its warehouse should be of the
smallest size and suspend itself after a minute."""
KEY_VARIABLE = f"{SERVICE}PRIVATE_KEY"
TIMEOUT_SECONDS = 30


@dataclass
class SnowflakeServer:
    """``settings`` are of every warehouse in it."""

    settings: Mapping[str, object]
    environ: Mapping[str, str]
    port: int | None = None
    """The emulator's."""
    made: dict[Path, list[str]] = field(default_factory=dict)

    def config(self, folder: Path, **changes: object) -> SnowflakeConfig:
        name = database(folder)
        config = SnowflakeConfig.model_validate({**self.settings, "database": name, **changes})
        if folder not in self.made:
            self.made[folder] = [name, f"{name}_other"]
            self.define(f"CREATE DATABASE IF NOT EXISTS {name} DATA_RETENTION_TIME_IN_DAYS = 0")
        return config

    def emptied(self, folder: Path) -> None:
        for name in self.made.pop(folder, []):
            self.define(f"DROP DATABASE IF EXISTS {name}")

    def define(self, statement: str) -> None:
        nowhere = SnowflakeConfig.model_validate({**self.settings, "database": "NONE"})
        with closing(SnowflakeSession(Connector(nowhere, self.environ), database=False)) as session:
            session.define([statement])


def database(folder: Path) -> str:
    return f"TEST_{hashlib.sha256(str(folder).encode()).hexdigest()[:16].upper()}"


def service(environ: Mapping[str, str]) -> SnowflakeServer | None:
    """The account that the environment names; None where it names none."""
    named = {
        name: environ.get(SERVICE + name.upper(), "") for name in ("account", "user", "role", "warehouse")
    }
    if not all(named.values()) or KEY_VARIABLE not in environ:
        return None
    settings = {"kind": "snowflake", "private_key_env": KEY_VARIABLE, "timeout_seconds": 300, **named}
    return SnowflakeServer(settings, {KEY_VARIABLE: environ[KEY_VARIABLE]})


@contextmanager
def running(folder: Path) -> Iterator[SnowflakeServer]:
    """The account, or the emulator, which writes below ``folder``."""
    found = service(os.environ)
    if found is not None:
        yield found
        return
    with snowflake_emulator(folder) as port:
        yield emulated(port)


def emulated(port: int) -> SnowflakeServer:
    """The emulator's port, or that of a proxy before it."""
    settings = {
        "kind": "snowflake",
        "account": "emulator",
        "user": "DATA_PLATFORM",
        "role": "LOADER",
        "warehouse": "LOADING",
        "private_key_env": KEY_VARIABLE,
        "url": f"http://{HOST}:{port}",
        "timeout_seconds": TIMEOUT_SECONDS,
    }
    return SnowflakeServer(settings, {KEY_VARIABLE: pem()}, port)


@cache
def pem(passphrase: str = "", bits: int = 2048) -> str:
    """A private key. The emulator does not look at what it signs."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    closed = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*pkcs8, closed).decode()
