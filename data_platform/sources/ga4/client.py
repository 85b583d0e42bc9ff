"""Google's own client of the Data API, with errors in words that name the way out. It is imported when it is used.

Nothing is tried again at once: a server error counts against the property's quota of ten an hour, and so does each of
its repetitions (https://developers.google.com/analytics/devguides/reporting/data/v1/quotas).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

from data_platform.errors import ConfigurationError, DataPlatformError, SourceError, SourceUnreachable
from data_platform.sources.ga4.config import API, Ga4Connection, checked_address
from data_platform.sources.ga4.quota import Quota

T = TypeVar("T")
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
MESSAGE_MAX = 400


@dataclass(frozen=True, slots=True)
class Fields:
    """What a property knows. Deprecated names lead to those that replaced them; ``metrics`` has each one's type."""

    dimensions: frozenset[str]
    metrics: Mapping[str, str]
    renamed: Mapping[str, str]


class Client:
    """One property. Used by several threads."""

    def __init__(
        self, source: str, connection: Ga4Connection, property_: str, environ: Mapping[str, str]
    ) -> None:
        self._source, self._connection, self._environ = source, connection, environ
        self._address = checked_address(source, connection.address(environ))
        self.property = property_
        self.quota = Quota(source, connection.quota_reserve)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._known: Fields | None = None

    @property
    def system(self) -> str:
        """The property, and the server where that is not Google's."""
        name = f"properties/{self.property}"
        return name if self._address == API else f"{self._address}/{name}"

    def interrupt(self) -> None:
        self._stopped.set()

    def report(self, what: str, request: Mapping[str, Any]) -> Any:
        """The answer to a ``runReport`` as a protobuf message; ``what`` names the report in errors. SourceError before
        the quota is used up."""
        self.quota.check(what)
        asked = self._types.RunReportRequest(
            {"property": f"properties/{self.property}", "return_property_quota": True, **request}
        )
        answer = self._call(what, lambda **how: self._client.run_report(asked, **how))
        message = self._types.RunReportResponse.pb(answer)
        self.quota.take(message.property_quota)
        return message

    def fields(self) -> Fields:
        """What may be asked for. Read once."""
        with self._lock:
            if self._known is None:
                name = f"properties/{self.property}/metadata"
                found = self._types.Metadata.pb(
                    self._call(
                        "the list of metrics", lambda **how: self._client.get_metadata(name=name, **how)
                    )
                )
                renamed = {
                    old: field.api_name
                    for field in (*found.dimensions, *found.metrics)
                    for old in field.deprecated_api_names
                }
                types = {m.api_name: self._types.MetricType(m.type_).name for m in found.metrics}
                self._known = Fields(frozenset(d.api_name for d in found.dimensions), types, renamed)
            return self._known

    def check_compatible(self, what: str, request: Mapping[str, Any]) -> None:
        """SourceError where the dimensions and metrics of ``request`` cannot be asked for together."""
        asked = self._types.CheckCompatibilityRequest({"property": f"properties/{self.property}", **request})
        self._call(what, lambda **how: self._client.check_compatibility(asked, **how))

    def _call(self, what: str, ask: Callable[..., T]) -> T:
        if self._stopped.is_set():
            raise SourceError("The read was interrupted.")
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.protobuf.json_format import Error as NoAnswer  # type: ignore[import-untyped]
        from requests import RequestException

        try:
            return ask(retry=None, timeout=self._connection.timeout_seconds)
        except GoogleAPICallError as error:
            raise self._told(what, error.code or 0, error.message or "") from None
        except GoogleAuthError as error:
            raise SourceError(self._unauthorized(what, type(error).__name__)) from None
        except RequestException as error:
            raise SourceUnreachable(
                f"{self._source}: {what} was not answered by {self._address} ({type(error).__name__}). Check the network;"
                " the next sync goes on there."
            ) from None
        except (NoAnswer, ValueError):
            raise SourceError(
                f"{self._source}: {what} was answered by {self._address} with something that is no answer of the Data API."
                " Check the `url` and what is between here and there."
            ) from None

    def _told(self, what: str, code: int, message: str) -> DataPlatformError:
        said = message.strip().splitlines()[0][:MESSAGE_MAX] if message.strip() else "without a reason"
        if code == 401:
            return SourceError(self._unauthorized(what, "401"))
        if code == 403:
            return SourceError(
                f"{self._source}: {what} is not permitted (403): {said} Give the service account the role Viewer in the"
                f" property {self.property} (Admin, Property access management), and enable the Google Analytics Data API"
                " in its Cloud project."
            )
        if code == 429:
            return SourceError(
                f"{self._source}: the quota of the property {self.property} is used up (429): {said} What was read is kept;"
                " the next sync goes on there. Sync less often, or lower `wide_reread_days`."
            )
        if code >= 500:
            return SourceUnreachable(
                f"{self._source}: Google Analytics failed at {what} ({code}): {said} It was not asked again, since each"
                " server error takes of the quota of ten an hour. The next sync goes on there."
            )
        return SourceError(
            f"{self._source}: Google Analytics refused {what} ({code}): {said.rstrip('.')}. Check the number of the property,"
            " and the dimensions and metrics of the block."
        )

    def _unauthorized(self, what: str, why: str) -> str:
        name = self._connection.credentials_file_env
        check = f"the service account's key file that {name} names" if name else "the machine's credentials"
        return (
            f"{self._source}: Google Analytics does not accept the credentials for {what} ({why}). Check {check}: a key"
            " may have been deleted, and the clock of this machine must be right."
        )

    @property
    def _types(self) -> Any:
        self._client  # noqa: B018  says which package is missing
        from google.analytics.data_v1beta import types

        return types

    @cached_property
    def _client(self) -> Any:
        try:
            from google.analytics.data_v1beta import BetaAnalyticsDataClient
            from google.analytics.data_v1beta.services.beta_analytics_data.transports import (
                BetaAnalyticsDataRestTransport,
            )
        except ModuleNotFoundError:
            raise ConfigurationError(
                f"{self._source}: a source of the kind ga4 needs Google's client, which is not installed. Install the"
                " extra: pip install 'data-platform[ga4]'."
            ) from None
        parts = urlsplit(self._address)
        from google.auth.exceptions import GoogleAuthError

        try:
            transport = BetaAnalyticsDataRestTransport(
                host=parts.netloc, url_scheme=parts.scheme, credentials=self._credentials()
            )
        except GoogleAuthError:
            raise ConfigurationError(
                f"{self._source}: this machine has no credentials of its own for Google. Name a service account's key file"
                " with `credentials_file_env`, or run `gcloud auth application-default login`."
            ) from None
        return BetaAnalyticsDataClient(transport=transport)

    def _credentials(self) -> Any:
        """None: the machine's own."""
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import service_account

        if self._address.startswith("http://"):
            return AnonymousCredentials()
        name = self._connection.credentials_file_env
        if name is None:
            return None
        path = self._environ.get(name, "").strip()
        try:
            return service_account.Credentials.from_service_account_file(path, scopes=[SCOPE])
        except OSError as error:
            raise ConfigurationError(
                f"{self._source}: the key file that {name} names cannot be read ({error.strerror}). Correct the path, or"
                " give this user the right to read it."
            ) from None
        except (ValueError, KeyError, GoogleAuthError):
            raise ConfigurationError(
                f"{self._source}: the file that {name} names is no service account's key. Download one as JSON: Google"
                " Cloud console, IAM, Service accounts, Keys."
            ) from None
