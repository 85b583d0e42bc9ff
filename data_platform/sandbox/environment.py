"""``.env`` of a project: what the sandbox writes there, and what it leaves to its owner."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from data_platform.errors import SandboxError
from data_platform.local_postgres import HOST, SUPERUSER

DATABASE = "shop"
URL_VARIABLE = "SHOP_DATABASE_URL"
KEY_VARIABLES = ("DATA_PLATFORM_HASH_KEY", "DATA_PLATFORM_REDACTION_KEY")


def write_environment(root: Path, url: str, services: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Put the shop's URL, keys for hashing and for redactions, and the services' variables into ``.env``, mode 0600.

    ``services`` maps the variable that holds a service's URL to all its variables. Other lines stay,
    and so does what is the owner's own: another database's URL, a key, and all of a service
    whose key is there without the sandbox's URL. Sentences about that are returned.
    """
    path = root / ".env"
    try:
        before = path.read_text() if path.exists() else ""
        lines = before.splitlines()
        held = _values(lines)
        wanted, notes = {}, []
        if not held.get(URL_VARIABLE) or _is_sandbox(held[URL_VARIABLE]):
            wanted[URL_VARIABLE] = url
        else:
            notes.append(f"{URL_VARIABLE} in {path} names another database and was not changed.")
        wanted |= {name: secrets.token_hex(32) for name in KEY_VARIABLES if not held.get(name)}
        for base, variables in services.items():
            own = [name for name in variables if held.get(name)]
            if own and not held.get(base, "").startswith(f"http://{HOST}:"):
                notes.append(f"{', '.join(own)} in {path} is your own, so {base} was left alone.")
            else:
                wanted.update(variables)
        kept = [
            f"{_name(line)}={wanted.pop(_name(line))}" if _name(line) in wanted else line for line in lines
        ]
        after = "\n".join([*kept, *(f"{name}={value}" for name, value in wanted.items())]) + "\n"
        if after != before:
            _replace(path, after)
    except OSError as error:
        raise SandboxError(f"The sandbox runs, but {path} could not be written: {error}.") from error
    return notes


def _name(line: str) -> str:
    return "" if line.lstrip().startswith("#") else line.partition("=")[0]


def _values(lines: list[str]) -> dict[str, str]:
    return {_name(line): line.partition("=")[2].strip().strip("'\"") for line in lines if _name(line)}


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".env.{os.getpid()}.new")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def _is_sandbox(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (parts.hostname, parts.username, parts.path) == (HOST, SUPERUSER, f"/{DATABASE}")
