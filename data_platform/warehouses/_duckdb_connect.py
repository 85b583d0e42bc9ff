"""Opening a DuckDB file that another process may hold, and putting its errors into words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import WarehouseBusy, WarehouseError

if TYPE_CHECKING:
    import duckdb

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.5


def connect(
    path: Path,
    *,
    read_only: bool,
    memory_limit: str,
    threads: int | None,
    wait_seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> duckdb.DuckDBPyConnection:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "preserve_insertion_order": False,
        # strings load in two thirds of the time and scan in a quarter; older DuckDBs cannot open the file
        "storage_compatibility_version": "latest",
        "autoinstall_known_extensions": False,  # nothing is downloaded at run time
        "autoload_known_extensions": False,
    }
    if threads:
        settings["threads"] = threads
    start, pause = clock(), _FIRST_PAUSE_SECONDS
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=settings)
        except duckdb.Error as error:
            if not _is_held(error):
                raise WarehouseError(
                    f"The warehouse at {path} does not open: {str(error).splitlines()[0]}. If the file is damaged,"
                    " move it away and sync: it is rebuilt from the landing store."
                ) from error
            waited = clock() - start
            if waited >= wait_seconds:
                raise WarehouseBusy(
                    f"The warehouse at {path} is held by {_holder(str(error))}; waited {waited:.0f} seconds. Let it"
                    " finish, or end it, and run this again."
                ) from error
            sleep(min(pause, max(wait_seconds - waited, 0)))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _is_held(error: Exception) -> bool:
    text = str(error)
    return "Could not set lock on file" in text or "different configuration" in text


def _holder(message: str) -> str:
    """Who holds the file, from DuckDB's message and the process table."""
    found = re.search(r"PID (\d+)", message)
    if found is None:
        return (
            "this very process, which has it open in another mode"
            if "configuration" in message
            else "another process"
        )
    return f"process {found[1]}{_command(int(found[1]))}"


def _command(pid: int) -> str:
    """The command line of ``pid`` where the system tells it; arguments that may hold a secret are left out."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    plain = [word for word in words[:6] if word and "=" not in word and "://" not in word and len(word) < 80]
    return f" ({' '.join([Path(plain[0]).name, *plain[1:]])})" if plain else ""


@contextmanager
def readable_errors(path: Path, act: str) -> Iterator[None]:
    """DuckDB's errors as ``WarehouseError``, without the ones that may quote a row's value."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise WarehouseError(
            f"The warehouse at {path} could not {act} within its memory limit. Raise `memory_limit` in"
            " catalog/platform.yaml; nothing was changed."
        ) from error
    except (duckdb.IOException, duckdb.CatalogException, duckdb.BinderException) as error:
        raise WarehouseError(
            f"The warehouse at {path} could not {act}: {str(error).splitlines()[0]}. Nothing was changed."
        ) from error
    except duckdb.Error as error:
        raise WarehouseError(
            f"The warehouse at {path} could not {act} ({type(error).__name__}). Nothing was changed; run it"
            " again, and if it stays, read the table anew with `sync --refresh`."
        ) from error
