"""Opening a DuckDB file that another process may hold, and putting its errors into words."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data_platform.engine_errors import first_line
from data_platform.errors import LoadRefused, WarehouseBusy, WarehouseError
from data_platform.sql import literal

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.5
_ABANDONED_SECONDS = 3600
"""Making an empty file takes milliseconds; one that old belongs to a process that was killed."""
_NO_SPACE = "No space left on device"
_OPENING = threading.Lock()
"""Connections of one process to one file share one instance: each is either closed or being closed to others."""


class _OpenOtherwise(Exception):
    """This process has the file open with other folders."""


def connect(
    path: Path,
    *,
    read_only: bool,
    memory_limit: str,
    threads: int | None,
    wait_seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    files: Sequence[Path] = (),
) -> duckdb.DuckDBPyConnection:
    """The file at ``path``, shut off from every other file but those below the folders ``files``, from the
    network and from changes of its settings."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "preserve_insertion_order": False,
        # strings load in two thirds of the time and scan in a quarter; older DuckDBs cannot open the file
        "storage_compatibility_version": "latest",
        # A commit of more than this goes into the file at once; one of less by way of the log. DuckDB counts 16 bytes
        # for a text of any length, so that by its own 16 MB a gigabyte of long texts is written to the log first.
        "checkpoint_threshold": "2MB",
        "autoinstall_known_extensions": False,  # nothing is downloaded at run time
        "autoload_known_extensions": False,
    }
    if threads:
        settings["threads"] = threads
    if not read_only:
        _sweep(path)

    def attempt() -> duckdb.DuckDBPyConnection:
        if not read_only and not path.exists():
            _make(path, settings)
        with _OPENING:
            connection = duckdb.connect(str(path), read_only=read_only, config=settings)
            try:
                _lock_down(connection, files)
            except BaseException:
                connection.close()
                raise
        return connection

    return patiently(path, attempt, wait_seconds=wait_seconds, clock=clock, sleep=sleep)


def patiently(
    path: Path,
    attempt: Callable[[], T],
    *,
    wait_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What ``attempt`` returns, which opens the file at ``path``. While another process holds the file it is tried again,
    for ``wait_seconds``; then ``WarehouseBusy``. ``WarehouseError`` for any other failure."""
    import duckdb

    start, pause = clock(), _FIRST_PAUSE_SECONDS
    while True:
        try:
            return attempt()
        except OSError as error:
            raise WarehouseError(
                f"The warehouse at {path} could not be created: {os.strerror(error.errno or 0)}. Check that its folder"
                " belongs to the user who runs this command and that its disk has space, then run again."
            ) from error
        except (duckdb.Error, _OpenOtherwise) as error:
            if not _is_held(error):
                raise WarehouseError(
                    f"The warehouse at {path} could not be opened: {first_line(error)}. If the file is damaged,"
                    " move it away and sync: it is rebuilt from the landing store."
                ) from error
            waited = clock() - start
            if waited >= wait_seconds:
                raise WarehouseBusy(
                    f"The warehouse at {path} is held by {_holder(str(error))}; waited {waited:.0f} seconds. Wait until it"
                    " finishes, or end it, then run this again."
                ) from error
            sleep(min(pause, max(wait_seconds - waited, 0)))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _lock_down(connection: duckdb.DuckDBPyConnection, folders: Sequence[Path]) -> None:
    """Close the connection's instance for good: what it may read or write besides its own file lies below
    ``folders``, nothing is attached or loaded, and no setting changes any more.

    Times are shown in UTC and what goes to Arrow stays lossless, for all its connections.
    """
    wanted = sorted({f"{form}/" for folder in folders for form in (folder, folder.resolve())})
    row = connection.execute(
        "SELECT current_setting('enable_external_access'), current_setting('allowed_directories'),"
        " current_setting('temp_directory')"
    ).fetchone()
    assert row is not None
    open_, allowed, scratch = row
    if not open_:  # another connection of this process was first
        if sorted(folder for folder in allowed if folder.rstrip("/") != scratch.rstrip("/")) != wanted:
            raise _OpenOtherwise("this process has it open with a different configuration")
        return
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute(
        "SET GLOBAL arrow_lossless_conversion = true"
    )  # a UUID as one: 16 bytes, not 36 letters
    connection.execute("SET python_enable_replacements = false")  # or a query reads our own variables
    connection.execute(f"SET allowed_directories = [{', '.join(map(literal, wanted))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def run_one(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyConnection:
    """Run ``sql``, which must be one statement: what was put together of many pieces is never more."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise LoadRefused(
            f"A generated statement is parsed by DuckDB as {len(statements)} statements, so a name or a type in it is not"
            " what it seems. Nothing was run; report it, with the names and types of the table's columns."
        )
    return connection.execute(statements[0])


def _make(path: Path, settings: Mapping[str, str | bool | int | float | list[str]]) -> None:
    """A new file gets its name once it is whole: cut short within its headers, by a kill or a full
    disk, it would never open again, and somebody would have to move it away."""
    import duckdb

    folder = Path(tempfile.mkdtemp(prefix=_unfinished(path), dir=path.parent))
    try:
        new = folder / path.name
        duckdb.connect(str(new), config=dict(settings)).close()
        new.chmod(0o600)
        try:
            os.link(new, path)
        except FileExistsError:  # another process was faster
            return
        except OSError:  # a file system without hard links
            if not path.exists():
                new.rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Remove what a process that was killed in ``_make`` left; the file itself may be there by then."""
    for left in path.parent.glob(f"{escape(_unfinished(path))}*"):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _unfinished(path: Path) -> str:
    return f".{path.name}-"


def _is_held(error: Exception) -> bool:
    # DuckDB has one kind of error for all files, and no question for this: asking the system who has locked the file
    # would open it, and closing it again would give up a lock that this very process has.
    text = str(error)
    # the last: of a thread that is just letting go of it
    return any(
        words in text
        for words in (
            "Could not set lock on file",
            "different configuration",
            "is already attached by database",
        )
    )


def holder(message: str) -> str | None:
    """Who holds the file, where DuckDB's ``message`` says that somebody does; None for another error."""
    return _holder(message) if "Could not set lock on file" in message else None


def _holder(message: str) -> str:
    """Who holds the file, from DuckDB's message and the process table."""
    found = re.search(r"PID (\d+)", message)
    if found is None:
        return (
            "this process, which has it open in another mode"
            if "configuration" in message or "attached" in message
            else "another process"
        )
    return f"process {found[1]}{_command(int(found[1]))}"


def _command(pid: int) -> str:
    """The program of ``pid`` where the system tells it; its arguments may hold a secret."""
    try:
        return f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return ""


@contextmanager
def readable_errors(path: Path | str, act: str) -> Iterator[None]:
    """DuckDB's errors as ``WarehouseError``, without what may quote a row's value. Nor is the engine's error
    kept as the cause: Dagster writes causes into its records."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _readable(error, path, act) from None


def _readable(error: Exception, path: Path | str, act: str) -> WarehouseError:
    import duckdb

    if _NO_SPACE in str(error):  # an IOException, or fatal where it was the log that could not be written
        return WarehouseError(
            f"The warehouse at {path} could not {act}: no space is left on its disk. Free some, then run it again."
        )
    if isinstance(error, duckdb.OutOfMemoryException) or (
        isinstance(error, duckdb.TransactionException) and "could not allocate" in str(error)
    ):
        return WarehouseError(
            f"The warehouse at {path} could not {act} within its memory limit. Raise `memory_limit` in"
            " catalog/platform.yaml, to at least 0.6 MB for each column of the table; nothing was changed."
        )
    if isinstance(error, (duckdb.IOException, duckdb.CatalogException, duckdb.BinderException)):
        return WarehouseError(
            f"The warehouse at {path} could not {act}: {first_line(error)}. Nothing was changed."
        )
    return WarehouseError(
        f"The warehouse at {path} could not {act} ({type(error).__name__}). Nothing was changed; run it"
        " again, and if the error stays, reread the table with `sync --refresh`."
    )


def in_one(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    """Run ``statements`` in one transaction."""
    connection.execute("BEGIN")
    try:
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(Exception):  # the transaction may have ended with the error
            connection.execute("ROLLBACK")
        raise
