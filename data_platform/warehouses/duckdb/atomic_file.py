"""A new warehouse file that appears whole or not at all, whatever ends the process that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from data_platform.errors import WarehouseBusy, WarehouseError
from data_platform.private_files import make_private

Open = Callable[[Path], AbstractContextManager[object]]


@contextmanager
def replace_atomically(into: Path, doing: str, open_at: Open) -> Iterator[Path]:
    """A hidden file beside ``into``, to be made in the block and renamed to it at its end; ``doing``
    names it. Nothing stays of it after an error. ``WarehouseBusy`` when somebody works in the file that
    would be replaced: what they wrote afterwards would be lost with it."""
    make_private(into.parent)
    unfinished = into.with_name(f".{into.name}.{doing}")
    forget(unfinished)
    try:
        yield unfinished
        _refuse_held(into, open_at)
        into.with_name(f"{into.name}.wal").unlink(missing_ok=True)  # it must not be replayed over the new one
        unfinished.replace(into)
    finally:
        forget(unfinished)


def forget(file: Path) -> None:
    for path in (file, file.with_name(f"{file.name}.wal")):
        path.unlink(missing_ok=True)


def _refuse_held(into: Path, open_at: Open) -> None:
    if not into.exists():
        return
    try:
        with open_at(into):
            pass
    except WarehouseBusy:
        raise
    except WarehouseError:
        pass  # a damaged one is what is replaced
