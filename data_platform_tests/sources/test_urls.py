"""URLs as people write them: read right, or refused with what is wrong, and never repeated."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import conninfo

from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform.sources.postgres.config import PostgresConnection
from data_platform.sources.postgres.connection import Target, connect, target
from data_platform.sources.postgres.urls import WrongURL, parameters

WHOLE = {"user": "u", "password": "p", "host": "h", "port": "5432", "dbname": "d"}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/d",
        "postgres://u:p@h:5432/d",
        "PostgreSQL://u:p@h:5432/d",
        "postgresql+psycopg2://u:p@h:5432/d",
        "postgresql+asyncpg://u:p@h:5432/d",
        "postgres+psycopg://u:p@h:5432/d",
        "postgresql://u:p@h:5432/d?schema=public",
        "postgresql://u:p@h:5432/d?schema=public&pgbouncer=true&connection_limit=1",
        "  postgresql://u:p@h:5432/d\r\n",
        "host=h port=5432 user=u password=p dbname=d",
    ],
)
def test_the_habits_of_other_libraries_mean_the_same_database(url: str) -> None:
    assert parameters(url) == WHOLE


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("postgresql://h", {"host": "h"}),
        ("postgresql:///d?host=/run/pg", {"dbname": "d", "host": "/run/pg"}),
        ("postgresql://u@h?sslrootcert=/etc/a.pem", {"user": "u", "host": "h", "sslrootcert": "/etc/a.pem"}),
        ("postgresql://u:a:b#c?d@h/d", {"user": "u", "password": "a:b#c?d", "host": "h", "dbname": "d"}),
        ("postgresql://u:%40%3A%2F%25%20@[::1]:1/a%2Fb", {"password": "@:/% ", "host": "::1", "port": "1"}),
        ("postgresql://a,b:2/d", {"host": "a,b", "port": ",2"}),
        ("postgresql://u@%2Frun%2Fpg/d", {"host": "/run/pg"}),
        ("postgresql://u:@h/d?ssl=true", {"user": "u", "sslmode": "require"}),
        ("postgresql://u@h/d?options=endpoint%3Dx", {"options": "endpoint=x"}),
    ],
)
def test_what_is_plain_is_read_as_libpq_reads_it(url: str, given: dict[str, str]) -> None:
    found = parameters(url)
    assert given.items() <= found.items()
    by_libpq = conninfo.conninfo_to_dict(url)
    assert found == {k: v for k, v in by_libpq.items() if v is not None}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:kept@secret@h/d", "%40"),
        ("postgresql://u:kept/secret@h/d", "%2F"),
        ("postgresql://u:12/secret@h/d", "%2F"),
        ("postgresql://u:12/kept?host=secret@h/d", "more than one @"),
        ("postgresql://u:kept%secret@h/d", "%25"),
        ("postgresql://u:kept secret@h/d", "%20"),
        ("postgresql://u:kept-secret@h:port/d", "digits"),
        ("postgresql://u:kept-secret", "digits"),
        ("postgresql://u:kept-secret@h:99999/d", "65535"),
        ("postgresql://u:kept-secret@h/d/e", "more than one /"),
        ("postgresql://u:kept-secret@h/d?kept=secret", "does not know"),
        ("postgresql://u:kept-secret@h/d?sslmode", "does not know"),
        ("'postgresql://u:kept-secret@h/d'", "quotation mark"),
        ('"postgresql://u:kept-secret@h/d"\n', "quotation mark"),
        ("jdbc:postgresql://h/d?password=kept-secret", "postgresql://"),
        ("mysql://u:kept-secret@h/d", "postgresql://"),
        ("postgresql//kept-secret", "postgresql://"),
        ("u:kept-secret@h/d", "postgresql://"),
        ("host=h password='kept-secret", "single quotes"),
    ],
)
def test_what_is_wrong_is_said_with_how_to_write_it(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        target(PostgresConnection(url_env="SHOP_URL"), {"SHOP_URL": url}, source="shop")
    text = str(refused.value)
    assert says in text and "SHOP_URL" in text
    assert "kept" not in text and "secret" not in text and "99999" not in text


SPECIAL = "@:/#?%&=+ '\"\\[]\n\t"
RARE = "ZQXJ789é"
"""None of them stand beside a special character in a word of ours."""
PASSWORDS = st.text(st.sampled_from(SPECIAL + RARE), min_size=8, max_size=24).map(lambda text: f"Q{text}Q")


def reaching(url: str) -> str:
    """All that is said of a URL, also of a connection that is tried: the error, its cause, the target."""
    said = ""
    try:
        found = target(
            PostgresConnection(url_env="SHOP_URL", connect_timeout_seconds=1),
            {"SHOP_URL": url},
            source="shop",
        )
        said += repr(found)
        # nothing listens there, whatever of the password became the host
        own = conninfo.conninfo_to_dict(found.conninfo) | {"hostaddr": "127.0.0.1", "port": "1"}
        connect(Target(found.source, found.variable, conninfo.make_conninfo(**own)))
    except DataPlatformError as error:
        said += "".join(traceback.format_exception(error))
    return said


@settings(max_examples=150, deadline=None)
@given(password=PASSWORDS, encoded=st.booleans())
@example(password="QXJZ@ZQXJ", encoded=False)
@example(password="78/ZQXJ", encoded=False)
def test_no_piece_of_a_password_is_ever_said(password: str, encoded: bool) -> None:
    written = quote(password, safe="") if encoded else password
    for url in (
        f"postgresql://user:{written}@db.internal:5432/shop",
        f"postgres://user:{written}@db.internal",
    ):
        if encoded:
            assert parameters(url)["password"] == password
        said = reaching(url)
        assert "SHOP_URL" in said
        pieces = [password[start : start + 4] for start in range(len(password) - 3)]
        assert [piece for piece in pieces if set(piece) & set(RARE) and piece in said] == []


@given(text=st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    for url in (text, f"postgresql://{text}"):
        try:
            found = parameters(url)
        except WrongURL:
            continue
        conninfo.make_conninfo(**found)


@pytest.mark.parametrize(
    ("catalog", "url", "takes"),
    [
        (None, "", "prefer"),
        (None, "?sslmode=disable", "disable"),
        ("verify-full", "?sslmode=require", "verify-full"),
        ("require", "?sslmode=verify-full", "verify-full"),
        ("require", "?sslmode=disable", "require"),
        ("require", "", "require"),
    ],
)
def test_a_url_cannot_weaken_what_the_catalog_asks_of_the_connection(
    catalog: str | None, url: str, takes: str
) -> None:
    config = PostgresConnection.model_validate({"url_env": "U", **({"sslmode": catalog} if catalog else {})})
    found = target(config, {"U": f"postgresql://u@h/d{url}"}, source="shop")
    assert conninfo.conninfo_to_dict(found.conninfo)["sslmode"] == takes
