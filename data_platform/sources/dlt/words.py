"""What keeps a resource from being read, in words: which one, what to do, and never a value of a row or a secret.

An exception of somebody's code may quote what it was given, so its class and its place are told, not its text.
"""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path
from urllib.parse import urlsplit

from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.extract.exceptions import (
    DltResourceException,
    ParametrizedResourceUnbound,
    PipeException,
    ResourceExtractionError,
)
from dlt.extract.incremental.exceptions import IncrementalCursorPathHasValueNone, IncrementalCursorPathMissing
from requests.exceptions import RequestException

from data_platform.errors import ConfigurationError, DataPlatformError, SourceError, SourceUnreachable

_LIBRARIES = tuple(
    f"{folder}{os.sep}"
    for folder in {*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), str(Path(__file__).parents[2])}
)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


def explained(where: str, resource: str | None, error: Exception) -> DataPlatformError:
    """``where`` is the table or the source, ``resource`` the dlt resource that was asked."""
    chain = list(_chain(error))
    named = next(
        (e.pipe_name for e in chain if isinstance(e, (PipeException, ResourceExtractionError))), None
    )
    name = (
        named
        or next((e.resource_name for e in chain if isinstance(e, DltResourceException)), None)
        or resource
    )
    head = f"{where}: the dlt resource {name}" if name else f"{where}: its function"
    for one in chain:
        if isinstance(one, ConfigFieldMissingException):
            fields = ", ".join(map(str, one.fields))
            return ConfigurationError(
                f"{head} asks for {fields}, which nobody gave. Write it under `connection`: into `arguments` what the"
                " function itself takes, into `config` what a resource asks dlt for; a secret as NAME_env: VARIABLE."
            )
        if isinstance(one, (IncrementalCursorPathMissing, IncrementalCursorPathHasValueNone)):
            return SourceError(
                f"{head} gave a row without a value at {one.json_path}, which its dlt.sources.incremental goes by. Set"
                " on_cursor_value_missing there, or name a cursor that every row has."
            )
        if isinstance(one, ParametrizedResourceUnbound):
            return SourceError(
                f"{head} takes arguments that nobody gave. Let the function give a source in which they are bound."
            )
        if isinstance(one, RequestException):
            return _of_request(head, one)
    cause = chain[-1]
    return SourceError(
        f"{head} failed with {type(cause).__name__}{_place(cause)}. The text of the error may hold what was read, so it is"
        " not shown: run the function by itself to see it. What was read before is landed as far as the resource's state"
        " covers it."
    )


def _chain(error: BaseException) -> list[BaseException]:
    found = [error]
    while (
        below := found[-1].__cause__
        or (found[-1].__context__ if not found[-1].__suppress_context__ else None)
    ) and (below not in found):
        found.append(below)
    return [one for one in found if not isinstance(one, StopIteration)] or [error]


def _of_request(head: str, error: RequestException) -> DataPlatformError:
    request, response = error.request, error.response
    url = urlsplit(str(request.url)) if request is not None and request.url else None
    asked = f" at {url.hostname}{url.path}" if url else ""
    if response is None:
        return SourceUnreachable(f"{head} got no answer{asked} ({type(error).__name__}). Try again later.")
    text = f"{head} was answered with HTTP {response.status_code}{asked}."
    if response.status_code in _PASSING:
        return SourceUnreachable(f"{text} Try again later.")
    if response.status_code in (401, 403):
        return SourceError(
            f"{text} Check the credentials that the function is given, and what they may read."
        )
    return SourceError(f"{text} Check what the function asks for.")


def _place(error: BaseException) -> str:
    """The line in which it was raised, of the innermost code that is no library's."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*_LIBRARIES, "<"))
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
