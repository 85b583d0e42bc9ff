"""Why there is no connection, in our own words.

libpq's messages hold the host's and the user's name, which may be the end of a password with a raw ``@``
in it, and DuckDB's the whole connection string. So their text is looked at and never passed on.
"""

from __future__ import annotations

NO_SNAPSHOT = (
    "the server it reached does not know the snapshot. The session that took it was ended, or the URL's host (a pooler,"
    " a load balancer) leads to several servers: give the URL of one of them"
)
NO_SERVER_CONNECTION = "query_wait_timeout"
_OF_A_POOLER: tuple[tuple[str, str], ...] = (
    (
        NO_SERVER_CONNECTION,
        "the pooler had no free server connection within its query_wait_timeout. A sync takes one for itself and one"
        " for each of `connections:` at the same time: raise the pool's size, or lower `connections:`",
    ),
    (
        "transaction blocks not allowed in statement pooling",
        "the pooler is in statement mode, which allows no transaction, and a sync reads all tables in one. Give the"
        " URL of the server itself, or of a pool in session or transaction mode",
    ),
    *(
        (
            message,
            f"the pooler's limit {limit} ended it, which is set in the pooler's configuration (`SHOW CONFIG` in its"
            " admin console shows it). Set it to 0 for the sync's user or database, or longer than the longest sync, or"
            " give the URL of the server itself",
        )
        for message, limit in (
            ("idle transaction timeout", "idle_transaction_timeout"),
            ("transaction timeout", "transaction_timeout"),
            ("query timeout", "query_timeout"),
            ("client_idle_timeout", "client_idle_timeout"),
        )
    ),
)
"""What PgBouncer says when it ends a connection; it has one SQLSTATE for all (08P01), and one language."""

_CAUSES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("could not translate host name", "name or service not known", "nodename nor servname"),
        "the URL's host name is not known here. Check its spelling and this machine's DNS; a raw @ in the password"
        " makes the rest of it the host, so write it as %40",
    ),
    (
        ("connection refused",),
        "nothing listens at the URL's host and port. Check both, and that the server is up",
    ),
    (
        ("timeout expired", "timed out", "no route to host", "network is unreachable"),
        "there was no answer from the URL's host within connect_timeout_seconds. Check the host, the port, and the"
        " firewall between it and this machine",
    ),
    (
        ("password authentication failed", "authentication failed", "scram"),
        "the server rejected the URL's user name and password. Check both; special characters are written"
        " percent-encoded (@ as %40, / as %2F, % as %25)",
    ),
    (("no password supplied",), "the server asks for a password and the URL has none"),
    (
        ("no pg_hba.conf entry",),
        "the server's pg_hba.conf has no line that allows this user to connect from this machine with this encryption. Add"
        " one, or set another sslmode",
    ),
    (
        ("is not permitted to log in", "no such user"),
        "the URL's user has no permission to log in there (ALTER ROLE ... LOGIN), or the pooler does not know it",
    ),
    (("no such database",), "the pooler does not know the URL's database. Check its name there"),
    (
        ("permission denied for database",),
        "the URL's user has no permission to CONNECT to that database. GRANT CONNECT ON DATABASE to it",
    ),
    (
        ("too many connections for role", "too many connections for database"),
        "the connection limit of the role or of the database is reached. Raise it (ALTER ROLE ... CONNECTION LIMIT,"
        " ALTER DATABASE ... CONNECTION LIMIT), or lower `connections:`",
    ),
    (
        (
            "too many clients",
            "too many connections",
            "remaining connection slots",
            "no more connections allowed",
        ),
        "the server, or the pooler in front of it, has no connection left. Raise max_connections (the pooler's"
        " max_client_conn), or lower `connections:`",
    ),
    (
        (
            "could not import the requested snapshot",
            "invalid snapshot identifier",
            "cannot import a snapshot",
            '" does not exist',
        ),
        NO_SNAPSHOT,
    ),
    (
        ("unsupported startup parameter",),
        "the pooler refuses a start-up parameter. Take `options` out of the URL, or name it in the pooler's"
        " ignore_startup_parameters: the sync does not need it",
    ),
    (
        (
            "starting up",
            "shutting down",
            "in recovery mode",
            "not accepting connections",
            "not yet accepting",
        ),
        "the server is starting, stopping or recovering. Try again in a moment",
    ),
    (
        ("does not support ssl", "ssl is not enabled", "ssl required", "ssl connection is required"),
        "the server and sslmode do not agree on encryption. Set `sslmode:` in the source's `connection:` to what"
        " the server offers",
    ),
    (
        ("certificate", "ssl error", "ssl syscall"),
        "the server's certificate does not meet the requirements of sslmode. Check sslrootcert, the host's name in the"
        " certificate, and its validity",
    ),
    (
        ("invalid", "unrecognized"),
        "a parameter of the URL has a value that PostgreSQL's library does not accept (sslmode, options, a port?)",
    ),
    (
        ("server closed the connection", "connection reset", "broken pipe"),
        "the other end closed the connection at once. Check that a PostgreSQL server listens at the URL's port, and"
        " its log or the pooler's",
    ),
)
_MISSING = (
    ("database ", "the server has no database of the URL's name. Check the name after the host"),
    ("role ", "the server has no role of the URL's user name. Check the name, or CREATE ROLE it"),
)


def cause(text: str) -> str:
    """Our sentence, without its full stop, for libpq's, DuckDB's or a pooler's ``text``."""
    if found := of_a_pooler(text):
        return found
    said = text.lower()
    if "does not exist" in said:
        for what, sentence in _MISSING:
            if f"fatal:  {what}" in said or f"fatal: {what}" in said:
                return sentence
    for signs, sentence in _CAUSES:
        if any(sign in said for sign in signs):
            return sentence
    return (
        "PostgreSQL's library gives a reason that is not repeated here, as it may hold a piece of the URL. `psql`"
        " with the same URL shows it"
    )


def of_a_pooler(text: str) -> str | None:
    """Our sentence, without its full stop, where a pooler ended the connection by a limit of its own."""
    # the server's own limits are "terminating connection due to transaction timeout" and the like
    return next(
        (sentence for sign, sentence in _OF_A_POOLER if sign in text and f"due to {sign}" not in text), None
    )
