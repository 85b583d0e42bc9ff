"""Files in a Google Cloud Storage bucket. An object is whole as soon as it is listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_platform.errors import SourceError, SourceUnreachable
from data_platform.google_accounts import service_account
from data_platform.sources.environment import value_of
from data_platform.sources.files.known import Listed
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.places import remote
from data_platform.sources.files.places.remote import (
    CHANGED,
    Bucket,
    is_enough,
    is_visible,
    scratch_of,
    whole,
)

SECONDS = 60
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


class GCSPlace(Bucket):
    """``Place``."""

    scheme = "gs"

    @property
    def _bucket(self) -> Any:
        if self._opened is None:
            from google.auth.credentials import AnonymousCredentials
            from google.cloud.storage import Client

            given: dict[str, Any] = {}
            endpoint = self._connection.endpoint_url
            if endpoint is not None:
                given["client_options"] = {"api_endpoint": endpoint.rstrip("/")}
            if (variable := self._connection.credentials_env) is not None:
                value = value_of(self._source, variable, self._environ)
                what = f"{self._source}: the environment variable {variable}"
                given["credentials"] = service_account(value, _SCOPE, what)
            elif (endpoint or "").startswith("http://"):
                given["credentials"] = AnonymousCredentials()  # a token in clear would be anyone's
            with self._errors():
                project = "none" if "credentials" in given else None
                self._opened = Client(project=project, **given).bucket(self._at.host)
        return self._opened

    def list(self, pattern: Pattern) -> Mapping[str, Listed]:
        found: dict[str, Listed] = {}
        looked_at = 0
        with self._errors():
            pages = self._bucket.list_blobs(
                prefix=self._at.folder + pattern.folder,
                page_size=remote.PAGE,
                fields="items(name,size,generation),nextPageToken",
                timeout=SECONDS,
            ).pages
            for page in pages:
                for blob in page:
                    looked_at += 1
                    path = blob.name[len(self._at.folder) :]
                    if is_visible(path) and pattern.matches(path):
                        found[path] = Listed(path, int(blob.size), str(blob.generation))
                if is_enough(len(found), looked_at, self.url):
                    break
        return found

    def fetch(self, listed: Listed, into: Path) -> Path:
        file = scratch_of(into, listed.path)
        with self._errors(listed.path):
            blob = self._bucket.blob(self._at.folder + listed.path, generation=int(listed.stamp))
            blob.download_to_filename(
                str(file),
                if_generation_match=int(listed.stamp),
                checksum="crc32c",
                raw_download=True,
                timeout=SECONDS,
            )
        return whole(file, listed)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.client.close()

    @contextmanager
    def _errors(self, path: str = "") -> Iterator[None]:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.exceptions import NotFound
        from requests.exceptions import RequestException

        where = f"{self.url}: {path}: " if path else f"{self.url}: "
        try:
            yield
        except GoogleAuthError as error:
            raise SourceError(
                f"{where}no usable credentials ({type(error).__name__}). Name the variable of a service account's key under"
                " `credentials_env`, or log in with `gcloud auth application-default login`."
            ) from None
        except NotFound:
            words = (
                f"{path}: {CHANGED}."
                if path
                else f"{where}there is no such bucket. Create it, or correct `location`."
            )
            raise SourceError(words) from None
        except GoogleAPICallError as error:
            raise self._answered(error, where, path) from None
        except (RequestException, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, RequestException) and error.filename:
                raise
            raise SourceUnreachable(
                f"{where}no answer ({type(error).__name__}). Check the network and `endpoint_url`, then sync again."
            ) from None

    def _answered(self, error: Any, where: str, path: str) -> SourceError:
        status = int(error.code or 0)
        if path and status in (404, 412):
            return SourceError(f"{path}: {CHANGED}.")
        if status in (401, 403):
            return SourceError(
                f"{where}the credentials lack the permission. They need storage.objects.list and storage.objects.get on the"
                " bucket (the role Storage Object Viewer)."
            )
        if status >= 500 or status in (408, 429):
            return SourceUnreachable(f"{where}the service answered {status}. Sync again later.")
        return SourceError(f"{where}the service answered {status}. Check `location` and `endpoint_url`.")
