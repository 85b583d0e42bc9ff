"""One account of Zendesk's: requests within its limits, and refusals in words that say what to check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from data_platform.errors import SourceError, TableMissing
from data_platform.sources.environment import value_of
from data_platform.sources.http.auth import Auth, basic, bearer
from data_platform.sources.http.client import HttpClient, Limits, Request
from data_platform.sources.http.waiting import Clock
from data_platform.sources.http.words import RequestRefused
from data_platform.sources.zendesk.config import ZendeskConnection, url_of

_BODY = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])
_TOLD = re.compile(r"remaining=(\d+); *resets=(\d+)")
MINUTE = 60.0
EXPORTS_PER_MINUTE = 10
"""Where neither the catalog nor Zendesk says another number."""


class Api:
    """``url`` is the account's. Exports and lists have a limit each, which the tables share."""

    def __init__(
        self,
        source: str,
        connection: ZendeskConnection,
        environ: Mapping[str, str],
        clock: Clock | None = None,
    ) -> None:
        self.url = url_of(source, connection, environ)
        self.secret, auth = _auth(source, connection, environ)
        self._credentials = connection.credentials()

        def client(count: int, key: str) -> HttpClient:
            limits = Limits(
                wait_seconds_max=connection.wait_seconds_max,
                requests_in_window=(count, MINUTE),
                named=key,
            )
            return HttpClient(source, limits, auth=auth, clock=clock)

        self._exports = client(connection.exports_per_minute or EXPORTS_PER_MINUTE, "exports_per_minute")
        self._as_told = connection.exports_per_minute is None
        self._lists = client(connection.requests_per_minute, "requests_per_minute")
        self.clock = self._exports.clock

    def get(self, path: str, params: Mapping[str, str], *, went_on: bool = False) -> Body:
        """The answer of ``/api/v2/<path>``. ``went_on``: the request holds a place where an earlier read ended."""
        endpoint = f"/api/v2/{path}"
        request = Request(endpoint, self.url + endpoint, params=tuple(params.items()))
        client = self._exports if path.startswith("incremental/") else self._lists
        try:
            answer = client.send(request)
        except (RequestRefused, TableMissing) as error:
            status = error.status if isinstance(error, RequestRefused) else 404
            raise self._refused(status, client.where(request), endpoint, went_on) from None
        if client is self._exports and self._as_told and (told := _left(answer.headers)) is not None:
            client.told(*told)
        try:
            return Body(_BODY.decode(answer.body), client.where(request))
        except msgspec.MsgspecError:
            raise SourceError(
                f"{client.where(request)}: the answer is no object. Check that the URL is that of a Zendesk account."
            ) from None

    def _refused(self, status: int, where: str, endpoint: str, went_on: bool) -> SourceError:
        said = f"{where} answered {status}"
        export = endpoint.startswith("/api/v2/incremental/")
        if status == 401:
            return RequestRefused(
                f"{said}: it does not accept the credentials in {self._credentials}. Check that the token is active, that the"
                " e-mail address is the user's to whom it belongs, and that API token access is switched on in the Admin"
                " Center (Apps and integrations, APIs).",
                status,
            )
        if status == 403:
            whose = "an admin" if export else "an agent who may see this"
            return RequestRefused(
                f"{said}: the user of {self._credentials} may not read it. It must be {whose}; an OAuth token needs the"
                " scope `read`. Or take the table out of the catalog.",
                status,
            )
        if status in (404, 410):
            return TableMissing(
                f"{said}: this account has no such endpoint. Check the subdomain, and that the account's plan includes it; else"
                " take the table out of the catalog."
            )
        if went_on and status in (400, 422):
            return PlaceRefused(
                f"{said}: it does not take the place where the last read ended. Read the table whole with `data-platform sync"
                " --refresh`.",
                status,
            )
        if status == 422:
            return RequestRefused(
                f"{said}: it does not take the start. Check `start` under `connection`: it must be in the past, by Zendesk's"
                " clock by more than a minute.",
                status,
            )
        return RequestRefused(
            f"{said}: it does not take the request. Check the source's `connection`.", status
        )

    def interrupt(self) -> None:
        self._exports.interrupt()
        self._lists.interrupt()

    def close(self) -> None:
        self._exports.close()
        self._lists.close()


def _left(headers: Mapping[str, str]) -> tuple[int, float] | None:
    """How many exports may still be asked for, and after how many seconds there are more: the header is
    `Zendesk-RateLimit-incremental-exports: total=10; remaining=9; resets=60`."""
    for name, value in headers.items():
        if name.lower().startswith("zendesk-ratelimit-") and (found := _TOLD.search(value)):
            return int(found[1]), float(found[2])
    return None


class PlaceRefused(RequestRefused):
    """The place from which a read goes on is none by now: a cursor has expired."""


class Body:
    """An answer's fields. ``where`` is the request, for messages."""

    def __init__(self, fields: Mapping[str, msgspec.Raw], where: str) -> None:
        self._fields, self.where = fields, where

    def records(self, name: str) -> list[bytes]:
        """The records under ``name``, each as it came."""
        found = self._fields.get(name)
        try:
            if found is not None:
                return [bytes(record) for record in _RECORDS.decode(found)]
        except msgspec.MsgspecError:
            pass
        raise SourceError(
            f"{self.where}: the answer has no list `{name}`. Check that the URL is that of a Zendesk account."
        )

    def has(self, name: str) -> bool:
        return name in self._fields

    def within(self, name: str, field: str) -> list[msgspec.Raw]:
        """What each record under ``name`` has in ``field``. SourceError where there are records and none has it."""
        records = [_BODY.decode(record) for record in self.records(name)]
        found = [record[field] for record in records if field in record]
        if records and not found:
            raise SourceError(
                f"{self.where}: no record has the side-load `{field}`, which was asked for. Check that the account's plan"
                " includes it, or take the table out of the catalog."
            )
        return found

    def value(self, *path: str) -> Any:
        """The value at ``path``; None where there is none."""
        value: Any = None
        fields: Any = self._fields
        for n, name in enumerate(path):
            if not isinstance(fields, Mapping) or name not in fields:
                return None
            value = msgspec.json.decode(fields[name]) if n == 0 else fields[name]
            fields = value
        return value


def _auth(source: str, connection: ZendeskConnection, environ: Mapping[str, str]) -> tuple[bytes, Auth]:
    words = f"the credentials in {connection.credentials()}"
    if connection.oauth_token_env is not None:
        token = value_of(source, connection.oauth_token_env, environ)
        return token.encode(), bearer(words, token)
    email = value_of(source, connection.email_env or "", environ).removesuffix("/token")
    token = value_of(source, connection.api_token_env or "", environ)
    return token.encode(), basic(words, f"{email}/token", token)
