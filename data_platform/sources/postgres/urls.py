"""Reading a database's URL, as people write them, into libpq's parameters.

libpq forgives much: a raw ``@`` in a password moves the rest of the password into the host's name,
which then stands in its messages. So a URL is held against the grammar first. No message here repeats a
piece of the URL, since any piece may be one of the password.
"""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import unquote

IGNORED_PARAMETERS = ("schema", "pgbouncer", "connection_limit", "pool_timeout", "socket_timeout")
"""What Prisma adds to a URL for itself. The catalog says which schema is read."""

_SCHEME = re.compile(r"(?:postgres|postgresql)(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
"""``+psycopg2`` and the like name SQLAlchemy's driver."""
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|%2[Ff][A-Za-z0-9._%-]*)?(?::\d{0,5})?")
_ESCAPED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_KEYWORDS = re.compile(r"\s*[a-z_]+\s*=")

_FORM = "postgresql://user:password@host:5432/database"
_ENCODE = (
    "Special characters of the user name and the password are written percent-encoded: @ as %40, : as %3A, / as %2F,"
    " # as %23, ? as %3F, % as %25, a space as %20. This prints one encoded:"
    " `python -c 'import getpass, urllib.parse as u; print(u.quote(getpass.getpass(), safe=\"\"))'`"
)


class WrongURL(ValueError):
    """What is wrong with a URL and how it is written; never a piece of it."""


def parameters(url: str) -> dict[str, str]:
    """libpq's parameters for ``url``, a URL or a string of ``keyword=value``. Raises WrongURL."""
    text = url.strip()
    if text[:1] in "\"'`" or text[-1:] in "\"'`":
        raise WrongURL("it starts or ends with a quotation mark. Write it without the marks")
    scheme = _SCHEME.match(text)
    if scheme is None:
        if _KEYWORDS.match(text) and "://" not in text:
            return _by_libpq(text)
        raise WrongURL(f"it does not begin with postgresql://. Write it as {_FORM}")
    rest = text[scheme.end() :]
    if _CONTROL.search(rest):
        raise WrongURL(f"it contains a space, a line break or a control character. {_ENCODE}")
    if _ESCAPED.search(rest):
        raise WrongURL(f"a % in it is not followed by two hexadecimal digits. {_ENCODE}")
    return _divided(rest)


def _divided(rest: str) -> dict[str, str]:
    """``rest`` is what follows the scheme."""
    authority, slash, after = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    if "?" in hosts:  # parameters without a database; a ? before the @ is the password's
        hosts, _, start = hosts.partition("?")
        path, query = "", start + slash + after
    else:
        path, _, query = after.partition("?")
    if "@" in credentials or "@" in path or "@" in query:
        raise WrongURL(f"there is more than one @ in it, or one that no host follows. {_ENCODE}")
    if "/" in path:
        raise WrongURL(f"there is more than one / after the host. {_ENCODE}")
    given = _query(query)
    if at:
        user, _, password = credentials.partition(":")
        given |= {"user": unquote(user)} if user else {}
        given |= {"password": unquote(password)} if password else {}
    given |= _hosts(hosts)
    if path:
        given["dbname"] = unquote(path)
    if any("\0" in value for value in given.values()):
        raise WrongURL("it contains %00, which is not allowed in any part of a URL")
    return given


def _hosts(hosts: str) -> dict[str, str]:
    names, ports = [], []
    for host in hosts.split(",") if hosts else []:
        if not _HOST.fullmatch(host):
            raise WrongURL(
                "what stands for the host is no host name or address with an optional :port of digits"
                f" (an IPv6 address stands in brackets). {_ENCODE}"
            )
        name, _, port = host.rpartition(":") if re.search(r":\d*$", host) else (host, "", "")
        if port and not 0 < int(port) < 65536:
            raise WrongURL(f"the port is not between 1 and 65535. {_ENCODE}")
        names.append(unquote(name).strip("[]"))
        ports.append(port)
    found = {}
    if any(names):
        found["host"] = ",".join(names)
    if any(ports):
        found["port"] = ",".join(ports)
    return found


def _query(query: str) -> dict[str, str]:
    given = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        name = unquote(name)
        if (name, value) == ("ssl", "true"):  # Java's way
            name, value = "sslmode", "require"
        if name in IGNORED_PARAMETERS and equals:
            continue
        if not equals or name not in _known():
            raise WrongURL(
                "after its ? there is a parameter that PostgreSQL's library does not know. Remove it; sslmode,"
                " sslrootcert and options are known, for example. A ? in a password is written %3F"
            )
        given[name] = unquote(value)
    return given


def _by_libpq(text: str) -> dict[str, str]:
    from psycopg import conninfo

    try:
        given = conninfo.conninfo_to_dict(text)
    except Exception:
        raise WrongURL(
            "it is a string of keyword=value that PostgreSQL's library cannot read. Put a value with a space, a quote"
            f" or a backslash in single quotes, or write a URL: {_FORM}"
        ) from None
    return {name: str(value) for name, value in given.items() if value is not None}


@cache
def _known() -> frozenset[str]:
    from psycopg import pq

    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
