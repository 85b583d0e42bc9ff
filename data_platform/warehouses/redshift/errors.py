"""What Redshift and S3 say, in sentences that name the object and what to do, without a value of a row.

Only words that can hold nothing but names are handed on: those of errors in a statement (SQLSTATE 42), and of a COPY only
which of the known reasons it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from data_platform.errors import QueryFailed, WarehouseError
from data_platform.warehouses.remote.engine import RelationMissing, Transient

MISSING = ("42P01", "3F000")
THERE = ("42P06", "42P07", "42701", "42710", "23505")
"""What is to be made is there already: a schema, a table, a column, another object; or, of two who make it at once, a row
of the catalog."""
_CONFLICT = ("40001", "40P01", "55P03")
_LOST = ("08", "57P")
_SERIALIZABLE = re.compile(
    r"\b1023\b|[Ss]erializable isolation violation|tuple concurrently (?:updated|deleted)"
)
_GONE_OID = re.compile(r"could not open relation with OID")


def details(error: BaseException) -> Mapping[str, str]:
    """The fields of a server's error; empty for an error of the client."""
    found = error.args[0] if error.args else None
    return found if isinstance(found, Mapping) else {}


def first_line(message: str) -> str:
    return message.strip().splitlines()[0].rstrip(".") if message.strip() else "no words"


def is_client_s(error: BaseException) -> bool:
    """Whether the client or the connection failed; anything else is a fault of ours."""
    module = type(error).__module__.partition(".")[0]
    return module in ("redshift_connector", "botocore", "boto3") or isinstance(error, (OSError, struct.error))


def code(error: BaseException) -> str:
    return str(details(error).get("C", ""))


def told(error: BaseException, doing: str, place: str) -> WarehouseError:
    """``doing`` continues "Redshift could not ...", ``place`` names the warehouse."""
    fields = details(error)
    state, message = str(fields.get("C", "")), str(fields.get("M", ""))
    what = f"Redshift at {place} could not {doing}"
    if not fields or state.startswith(_LOST):
        return Transient(
            f"{what}: the connection was lost, or there was none. Check that the endpoint can be reached from this machine,"
            " that the cluster is not paused and, with IAM, that the AWS identity of this machine may ask for credentials of the"
            " database. Then run again.",
            session_lost=True,
        )
    if state in _CONFLICT or _SERIALIZABLE.search(message) or _GONE_OID.search(message):
        return Transient(
            f"{what}: another transaction was in the way each time (error 1023). Run again; with many loads at once, set"
            " ALTER DATABASE ... ISOLATION LEVEL SNAPSHOT.",
            session_lost=False,
        )
    for pattern, words in _REASONS:
        if found := re.search(pattern, message):
            return WarehouseError(f"{what}: {words.format(*found.groups())}")
    if state == "42501":
        return WarehouseError(f"{what}: {first_line(message)}. Grant it to the user of this connection.")
    if state == "3D000":
        return WarehouseError(
            f"{what}: there is no warehouse at {place} yet. Create the database, or correct `database`."
        )
    if state.startswith("28"):
        return WarehouseError(
            f"{what}: the server refused the user. Check `user` of the warehouse in catalog/platform.yaml and the credentials that it"
            " is used with."
        )
    if state.startswith("53"):
        return WarehouseError(
            f"{what}: it has no space, memory or connection left. Free some, then run again."
        )
    if state == "57014":
        return WarehouseError(
            f"{what}: the statement was canceled, by a person, a limit of the queue or `statement_timeout`."
        )
    if state == "2BP01":
        return WarehouseError(
            f"{what}: {first_line(message)}. A view is bound to the table that is to be replaced: make it WITH NO SCHEMA"
            " BINDING (in dbt, `bind: false`), or drop it, then run again."
        )
    if state.startswith("42"):
        return WarehouseError(f"{what}: {first_line(message)}.")
    return WarehouseError(
        f"{what}: error {state}. Its words may hold a value; find them in SYS_QUERY_HISTORY."
    )


def not_run(error: BaseException) -> QueryFailed:
    """Of a question: the engine's own words where they name only what was asked."""
    fields = details(error)
    state, message = str(fields.get("C", "")), str(fields.get("M", ""))
    if state in MISSING:
        return RelationMissing(f"The query did not run: {first_line(message)}.")
    if state.startswith("42"):
        return QueryFailed(f"The query did not run: {first_line(message)}.")
    return QueryFailed(
        f"The query did not run: error {state}. Its words may hold a value of a row, so they are not shown."
    )


_REASONS: tuple[tuple[str, str], ...] = (
    (
        r"not authorized to assume IAM Role|Not authorized to get credentials of role",
        "the cluster may not take the IAM role of `iam_role`. Attach the role to the cluster or the workgroup, and let its trust"
        " policy name redshift.amazonaws.com.",
    ),
    (
        r"PermanentRedirect|must be addressed using the specified endpoint|AuthorizationHeaderMalformed",
        "the bucket is in another region than the cluster. COPY of Parquet reads only from its own: use a bucket there for `staging`"
        " and for the landing store.",
    ),
    (
        r"S3ServiceException:\s*Access ?Denied|AccessDenied|Status 403",
        "the IAM role of COPY may not read the staged files, or that of UNLOAD not write them. Grant it s3:GetObject and s3:ListBucket on"
        " the bucket of `staging` and on that of the landing store, and s3:PutObject on that of `staging`.",
    ),
    (
        r"NoSuchBucket|Status 404|NoSuchKey",
        "a bucket or a file of the batch is not there. Check `staging` and the landing store, and that no lifecycle rule deletes"
        " files within a day.",
    ),
    (
        r"Spectrum Scan Error|incompatible Parquet schema|has an incompatible",
        "the types of the Parquet files are not those of the stage. This is a fault of the platform: report it with the table's"
        " columns.",
    ),
    (
        r"value too long for type character varying",
        "a text is longer than its VARCHAR. Refresh the table, or leave the column out.",
    ),
)
