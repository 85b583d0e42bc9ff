"""What Google's client and service say, in sentences that name the object and what to do, and hold no value of a row.

Of some errors the service's own words name objects alone, and they are passed on. The words of any other may quote a value,
such as a text that is no number, so that a sentence of ours stands for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_platform.errors import QueryFailed, WarehouseError
from data_platform.warehouses import EngineError
from data_platform.warehouses.remote.engine import Overtaken, RelationMissing, Transient

OVERTAKEN = "data_platform: the guard is false"
"""What our scripts raise where another load was first."""

_NAMES_ONLY = re.compile(
    r"(?:Unrecognized name|Syntax error|Function not found|No matching signature|Table-valued function not found"
    r"|Not found|Already Exists|Access Denied|Cannot query over table|Table \S+ must be qualified|Column \S+ in"
    r"|Query exceeded limit for bytes billed|Quota exceeded|Exceeded rate limits|Resources exceeded"
    r"|Too many partitions|Name \S+ not found|Duplicate column name|Cannot read and write in different locations"
    r"|SELECT list expression references|Query column \d+ has type|Inserted row has wrong column count)\b"
)
"""Errors about statements and objects, by how their words begin; a literal of the statement may stand in some."""
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_DBT = re.compile(
    r"^(?P<head>(?:Database|Runtime) Error(?: in [^\n]*)?\n\s*)(?P<said>\S[^\n]*)", re.MULTILINE
)
_GOOGLE = re.compile(
    r"\b[45]\d\d (?:GET|POST|PUT|PATCH|DELETE) https?://\S+: (?P<said>.*)|\bgoogle\.\S+: (?P<other>.*)",
    re.DOTALL,
)
_PERMISSION = re.compile(r"\b(?:bigquery|storage|resourcemanager)\.[A-Za-z]+\.[A-Za-z]+\b")
_OBJECT = re.compile(r"\b(?:Dataset|Table|Project|Job|Bucket|URI|File)\b:? *([\w.:$/*@-]+)")
_ROLES = {
    "bigquery.jobs": "BigQuery Job User (roles/bigquery.jobUser) in the project",
    "bigquery.datasets": "BigQuery User (roles/bigquery.user) in the project, or make the datasets yourself",
    "bigquery.tables": "BigQuery Data Editor (roles/bigquery.dataEditor) on the dataset",
    "bigquery.tables.createSnapshot": "BigQuery Data Owner (roles/bigquery.dataOwner) on the dataset",
    "bigquery.tables.deleteSnapshot": "BigQuery Data Owner (roles/bigquery.dataOwner) on the dataset",
    "storage.objects": "Storage Object Viewer (roles/storage.objectViewer) on the landing bucket",
    "storage.buckets": "Storage Legacy Bucket Reader (roles/storage.legacyBucketReader) on the landing bucket",
}
_PASSING = ("backendError", "internalError", "jobBackendError", "jobInternalError", "rateLimitExceeded", "jobRateLimitExceeded",
            "tableUnavailable", "timeout")  # fmt: skip
_CONFLICT = re.compile(
    r"aborted due to|concurrent (?:update|transaction)|[Cc]onflict|serializ", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of the service: why, as it codes it, and in its words. ``status`` of HTTP, where it was one."""

    reason: str
    message: str
    status: int = 0


def of_result(result: Mapping[str, Any]) -> Said:
    """Of a job that ended in an error: its ``error_result``."""
    return Said(str(result.get("reason", "")), str(result.get("message", "")))


def of_exception(error: Exception) -> Said | None:
    """Of an answer that Google's client raises; None where there was no answer."""
    from google.api_core.exceptions import GoogleAPICallError

    if not isinstance(error, GoogleAPICallError):
        return None
    details = next((one for one in error.errors or () if isinstance(one, Mapping)), {})
    reason, message = str(details.get("reason", "")), str(details.get("message") or error.message or "")
    return Said(reason, message, int(error.code or 0))


def readable(said: Said, doing: str, *, question: bool = False) -> WarehouseError:
    """The error of ``doing`` ("load batch 3 of shop/orders"). ``question``: a person's statement, which may just be wrong."""
    message = said.message
    if OVERTAKEN in message:
        return Overtaken(f"BigQuery did not {doing}: another load of the table was first.")
    if said.reason in _PASSING or said.status in (429, 500, 502, 503, 504) or _conflicts(said):
        return Transient(
            f"BigQuery could not {doing} just now ({said.reason or said.status}).", session_lost=False
        )
    if said.status == 401:
        return _credentials(doing)
    if "different locations" in message:
        return _region(said, doing)
    if said.reason == "notFound" or said.status == 404:
        return _missing(said, doing, question)
    if said.reason == "accessDenied" or (said.status == 403 and said.reason != "quotaExceeded"):
        return _denied(said, doing)
    if (found := _limit(said, doing)) is not None:
        return found
    if question:
        return QueryFailed(f"The query did not run: {_words(message)}")
    return WarehouseError(f"BigQuery could not {doing}: {_words(message)}")


def unanswered(error: Exception, doing: str) -> WarehouseError:
    """Of an error that is no answer: a connection that broke, or credentials that are not to be had."""
    from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

    if isinstance(error, DefaultCredentialsError) or (
        isinstance(error, RefreshError) and not getattr(error, "retryable", False)
    ):
        return _credentials(doing)
    kind = (
        "the token could not be renewed"
        if isinstance(error, RefreshError | TransportError)
        else type(error).__name__
    )
    return Transient(f"BigQuery gave no answer when asked to {doing} ({kind}).", session_lost=False)


def error_in(text: str) -> EngineError | None:
    """The first error of BigQuery in what dbt prints."""
    found = [
        one for one in (_DBT.search(text), _GOOGLE.search(text), _NAMES_ONLY.search(text)) if one is not None
    ]
    if not found:
        return None
    first = min(found, key=lambda one: one.start())
    said, start = first[0], first.start()
    if first.re is not _NAMES_ONLY:
        group = "said" if first["said"] is not None else "other"
        said, start = first[group], first.start(group)
    names_only = _NAMES_ONLY.match(said) is not None and _QUOTED.search(said) is None
    return EngineError(start, names_only, f"BigQuery: {_words(said)}")


def _words(message: str) -> str:
    """The service's words where they name objects alone, without what is quoted in them."""
    first = message.strip().partition("\n")[0]
    if _NAMES_ONLY.match(first):
        return f"{_QUOTED.sub('…', first)[:600].rstrip('.')}."
    return "it refused a value or a statement. Its words are not shown, because they may hold a value; they are in the job's history."


def _conflicts(said: Said) -> bool:
    return said.reason in ("invalidQuery", "invalid", "stopped", "duplicate", "") and bool(
        _CONFLICT.search(said.message)
    )


def _object(message: str) -> str:
    found = _OBJECT.search(message)
    return found[1].rstrip(".:") if found else ""


def _credentials(doing: str) -> WarehouseError:
    return WarehouseError(
        f"BigQuery could not {doing}: the credentials are missing, wrong or have expired. Log in with `gcloud auth"
        " application-default login`, give the machine a service account, or name a service account's key with"
        " `credentials_env` under `warehouse` in catalog/platform.yaml."
    )


def _region(said: Said, doing: str) -> WarehouseError:
    return WarehouseError(
        f"BigQuery could not {doing}, because not everything lies in one location: {_QUOTED.sub('…', said.message)[:400]}"
        " Set `location` of the warehouse to where the datasets are. A bucket must lie in the same region, or in the same"
        " multi-region, as the datasets that are loaded from it."
    )


def _missing(said: Said, doing: str, question: bool) -> WarehouseError:
    name = _object(said.message)
    what = f"{name} does not exist" if name else "something that it names does not exist"
    if question:
        return RelationMissing(f"The query did not run: {what}.")
    if said.message.startswith("Not found: URI"):
        return WarehouseError(
            f"BigQuery could not {doing}: {what} in the landing bucket, or its service account may not read it. Run"
            " `data-platform verify`."
        )
    return RelationMissing(
        f"BigQuery could not {doing}: {what}, or not in the warehouse's location. Check `project`, `location` and"
        " `dataset_prefix` of the warehouse."
    )


def _denied(said: Said, doing: str) -> WarehouseError:
    permission = _PERMISSION.search(said.message)
    name = _object(said.message)
    on = f" on {name}" if name else ""
    if permission is None:
        return WarehouseError(
            f"BigQuery could not {doing}: the account lacks a right{on}. docs/warehouses/bigquery.md lists the roles that it needs."
        )
    of_kind = _ROLES.get(".".join(permission[0].split(".")[:2]), "a role that has it")
    role = _ROLES.get(permission[0], of_kind)
    return WarehouseError(
        f"BigQuery could not {doing}: the account lacks the permission {permission[0]}{on}. Grant it {role}."
    )


def _limit(said: Said, doing: str) -> WarehouseError | None:
    message = said.message
    if "partitions" in message and ("Too many" in message or "limit" in message):
        return WarehouseError(
            f"BigQuery could not {doing}: the batch touches more partitions than one job or one table may have (4,000 a job,"
            " 10,000 a table). Nothing was loaded. Set `partition_unit: month` for the warehouse, then run `sync --refresh`."
        )
    if said.reason == "bytesBilledLimitExceeded":
        return WarehouseError(
            f"BigQuery did not {doing}: it would be billed more bytes than `maximum_bytes_billed` of the warehouse allows."
            " Nothing was changed. Raise the limit, or make the question smaller."
        )
    if said.reason == "quotaExceeded":
        return WarehouseError(
            f"BigQuery did not {doing}: a quota is used up. {_QUOTED.sub('…', message.partition(chr(10))[0])[:400]} Nothing was changed;"
            " run again when the quota is renewed, or load less often."
        )
    if re.search(
        r"(?:row|cell|string|record|value)\b[^.]*\b(?:too large|too long|exceeds|larger than)|too large",
        message,
        re.I,
    ):
        return WarehouseError(
            f"BigQuery could not {doing}: a row or a cell is larger than it takes (10 MB a cell, 100 MB a row). Nothing was"
            " loaded. Leave the column out with `exclude` in the catalog."
        )
    return None
