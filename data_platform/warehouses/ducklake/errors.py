"""A lake's errors in our words. DuckLake quotes the statements that it sends to its catalog, with values of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from data_platform.errors import WarehouseBusy, WarehouseError
from data_platform.warehouses import EngineError
from data_platform.warehouses.duckdb import dbt_errors
from data_platform.warehouses.duckdb.connect import readable_errors

if TYPE_CHECKING:
    import duckdb

_OF_THE_CATALOG = "DuckLake"
_CONFLICT = ("Transaction conflict", "another transaction", "could not serialize", "deadlock detected")
_LOST = (
    "server closed the connection",
    "terminating connection",
    "connection to server",
    "Unable to connect to Postgres",
    "no connection to the server",
    "SSL connection has been closed",
    "connection not open",
    "could not receive data from server",
    "could not send data to server",
)


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was faster: the same again may succeed."""
    return any(words in str(error) for words in _CONFLICT)


def is_lost(error: BaseException) -> bool:
    """Whether the catalog's server, or the connection to it, went away."""
    return any(words in str(error) for words in _LOST)


@contextmanager
def lake_errors(place: str, act: str) -> Iterator[None]:
    import duckdb

    with readable_errors(place, act):
        try:
            yield
        except duckdb.Error as error:
            if _OF_THE_CATALOG in str(error) or is_conflict(error) or is_lost(error):
                raise _told(place, act, error) from None
            raise


def _told(place: str, act: str, error: duckdb.Error) -> WarehouseError:
    if is_conflict(error):
        return WarehouseBusy(
            f"{place} could not {act}: other transactions changed the same table each time. Nothing was changed; run"
            " it again when they are done."
        )
    if is_lost(error):
        return WarehouseError(
            f"{place} could not {act}: the connection to the catalog's server was lost. Nothing was changed; check the"
            " server, then run it again."
        )
    return WarehouseError(
        f"{place} could not {act} ({type(error).__name__} of the catalog; its text is not shown, as it may hold a"
        " value). Nothing was changed; run it again, and look into the log of the catalog's server if the error stays."
    )


def error_in(text: str) -> EngineError | None:
    """As ``dbt_errors.error_in``; what DuckLake says of its catalog may quote a value."""
    found = dbt_errors.error_in(text)
    if found is None or _OF_THE_CATALOG not in text[found.start :]:
        return found
    summary = "DuckLake could not read or change its catalog; look into the log of the catalog's server"
    return EngineError(found.start, names_only=False, summary=f"{summary}.")
