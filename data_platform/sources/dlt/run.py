"""A dlt resource walked without dlt's pipeline: its steps, its threads and its state are dlt's, what becomes of rows is not.

The parts of dlt that are used here (``PipeIterator`` and what is injected for it) are those that ``dlt.pipeline`` itself
extracts with.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from dlt.common.pipeline import StateInjectableContext
from dlt.common.schema import Schema
from dlt.extract.hints import HintsMeta
from dlt.extract.incremental import Incremental, IncrementalResourceWrapper
from dlt.extract.incremental.context import TimeIntervalContext
from dlt.extract.items import TableNameMeta
from dlt.extract.pipe_iterator import PipeIterator
from dlt.extract.resource import DltResource
from dlt.extract.source import DltSource, SourceInjectableContext, SourceSchemaInjectableContext

from data_platform.errors import ConfigurationError, DataPlatformError, SourceError
from data_platform.sources.dlt.config import Called
from data_platform.sources.dlt.state import without_cursors
from data_platform.sources.dlt.surroundings import GivenValues, injected, surround
from data_platform.sources.dlt.values import chunks
from data_platform.sources.dlt.words import explained

SINGLES, SINGLES_SECONDS = 1_000, 5.0


def made(called: Called, state: dict[str, Any] | None = None) -> DltSource:
    """The source that the function gives, made anew. ConfigurationError where it gives none."""
    surround()
    module, _, name = called.function.partition(":")
    if called.path not in sys.path:
        sys.path.append(called.path)  # last: what is installed comes first
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise ConfigurationError(
                f"{called.source}: {module} imports {error.name}, which is not installed. Install it in this environment."
            ) from None
        raise ConfigurationError(
            f"{called.source}: there is no module {module}, neither installed nor in {called.path}. Correct `function`, or set"
            " `path` to the folder that holds it."
        ) from None
    except Exception as error:
        raise explained(called.source, None, error) from None
    function = getattr(found, name, None)
    if not callable(function):
        raise ConfigurationError(f"{called.source}: {module} has no function {name}. Correct `function`.")
    with injected(*_always(called, state or {})):
        try:
            data = function(**called.arguments)
        except TypeError as error:
            raise _not_taken(called, error) from None
        except Exception as error:
            raise explained(called.source, None, error) from None
    return _as_source(called, data)


def _not_taken(called: Called, error: TypeError) -> DataPlatformError:
    given = ", ".join(sorted(called.arguments)) or "none"
    if "argument" in str(error):
        return ConfigurationError(
            f"{called.source}: {called.function} does not take the `arguments` as they are ({given}), or asks for more."
            " Compare them with its definition."
        )
    return explained(called.source, None, error)


def _as_source(called: Called, data: Any) -> DltSource:
    if isinstance(data, DltSource):
        return data
    found = data if isinstance(data, (list, tuple)) else [data]
    if not found or not all(isinstance(one, DltResource) for one in found):
        raise ConfigurationError(
            f"{called.source}: {called.function} gives a {type(data).__name__}, and neither a dlt source nor resources. Name a"
            " function that is decorated with @dlt.source or @dlt.resource."
        )
    name = _key(called.function.partition(":")[2])
    return DltSource(Schema(name), name, list(found))


def _key(name: str) -> str:
    """A name that dlt takes for a schema."""
    return name.lower().strip("_") or "source"


class _Sources(dict[str, Any]):
    """dlt's states of all sources, of which here is one, whatever name it is asked for by."""

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__()
        self._state = state

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self._state


def _always(called: Called, state: dict[str, Any]) -> list[Any]:
    """What is injected into every call of dlt's. ``state`` is the source's."""
    interval = TimeIntervalContext(allow_external_schedulers=False)
    object.__setattr__(interval, "_detect", lambda: None)  # it would ask the environment
    return [GivenValues(called.config), StateInjectableContext(state={"sources": _Sources(state)}), interval]


def resource_of(called: Called, source: DltSource, table: str, name: str) -> DltResource:
    """The resource of a table. SourceError where the source has none of the name."""
    found = source.resources.get(name)
    if found is None:
        known = ", ".join(sorted(map(str, source.resources)))
        raise SourceError(
            f"{table}: {called.function} gives no resource {name}. It gives: {known}. Correct the table's name or `resource`."
        )
    return found


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows. ``true``: the state covers all that came so far, and nothing else."""

    rows: Sequence[Any]
    true: bool
    notes: tuple[str, ...] = ()


class Run:
    """One walk through a resource, by one thread. ``state`` is the source's, and changes while it runs."""

    def __init__(
        self, called: Called, table: str, name: str, of_table: str | None, state: dict[str, Any], stop: Event
    ) -> None:
        self._table, self._name, self._of_table, self._stop = table, name, of_table, stop
        self._source = made(called, state)
        self._resource = resource_of(called, self._source, table, name)
        self._before = without_cursors(state)
        self.state = state
        self._contexts = [
            *_always(called, state),
            self._source._get_config_section_context(),
            SourceInjectableContext(self._source),
            SourceSchemaInjectableContext(self._source.schema),
        ]
        self._left_out: set[str] = set()
        self._items: PipeIterator | None = None
        self._held: Any = None
        self._failed: Exception | None = None

    def rows(self) -> Generator[Rows, None, None]:
        """What it yields, in its order. Errors name the resource."""
        try:
            with injected(*self._contexts):
                self._items = PipeIterator.from_pipes(
                    [self._resource._pipe], yield_parents=False, next_item_mode="fifo"
                )
                self._dedupe_whole_rows()
            while (item := self._next()) is not None:
                yield from self._taken(*item)
        except DataPlatformError:
            raise
        except Exception as error:
            raise explained(self._table, self._name, error) from None
        finally:
            self._close()

    def _dedupe_whole_rows(self) -> None:
        """Rows at a cursor's last value come again with the next read, and dlt leaves out those whose key it has seen: a
        row that changed without its cursor moving would be lost. So it goes by the whole row, unless told otherwise."""
        for step in self._steps():
            if isinstance(step, IncrementalResourceWrapper):
                step.primary_key = None
            elif isinstance(step, Incremental):
                step.set_deduplication_key(None, from_hints=True)

    def _steps(self) -> Iterator[Any]:
        pipe: Any = self._resource._pipe
        pipes: list[Any] = [source.pipe for source in self._items._sources] if self._items else []
        for one in [*pipes, pipe, *([pipe.parent] if pipe.parent else [])]:
            yield from one.steps

    def _next(self) -> tuple[Any, Any] | None:
        """What is yielded next, with dlt's mark at it. Rows that come one by one are gathered for a while."""
        if self._stop.is_set():
            raise SourceError("The read was interrupted.")
        if self._failed is not None:
            raise self._failed
        assert self._items is not None
        singles: list[Any] = []
        until = time.monotonic() + SINGLES_SECONDS
        with injected(*self._contexts):
            while len(singles) < SINGLES and time.monotonic() < until:
                try:
                    item, self._held = self._held or next(self._items, None), None
                except Exception as error:
                    if not singles:
                        raise
                    self._failed = error  # after what came before it
                    break
                if item is None:
                    break
                if type(item.item) is not dict or item.meta is not None:
                    if not singles:
                        return item.item, item.meta
                    self._held = item
                    break
                singles.append(item.item)
        return (singles, None) if singles else None

    def _taken(self, items: Any, meta: Any) -> Iterator[Rows]:
        rows, notes = self._of_this_table(items, meta)
        true = self._nothing_on_its_way()
        parts = chunks(rows)
        part = next(parts, None)
        while part is not None:
            after = next(parts, None)
            yield Rows(part, true and after is None, notes)
            part, notes = after, ()

    def _nothing_on_its_way(self) -> bool:
        items = self._items
        assert items is not None
        if self._held is not None or self._failed is not None or self._resource._pipe.has_parent:
            return False
        return len(items._futures_pool) == 0 and len(items._sources) <= 1

    def ordered(self) -> bool:
        """Whether its cursors say that rows come in their order, and nothing but cursors is kept of it."""
        found = [
            one.incremental if isinstance(one, IncrementalResourceWrapper) else one
            for one in self._steps()
            if isinstance(one, (IncrementalResourceWrapper, Incremental))
        ]
        by_cursor = [one for one in found if one is not None]
        asc = bool(by_cursor) and all(one.row_order == "asc" and not one.lag for one in by_cursor)
        return asc and without_cursors(self.state) == self._before

    def keeps_more(self) -> bool:
        """Whether the state has anything."""
        return bool(without_cursors(self.state).get("resources")) or any(k != "resources" for k in self.state)

    def _of_this_table(self, items: Any, meta: Any) -> tuple[Any, tuple[str, ...]]:
        named = self._named(meta)
        if named is None and self._resource.has_dynamic_table_name:
            rows = items if isinstance(items, list) else [items]
            pairs = [(str(self._resource._table_name_hint_fun(row)), row) for row in rows]  # type: ignore[misc]
        elif named is None:
            if self._of_table not in (None, self._resource.table_name):
                return [], ()
            return items, ()
        else:
            pairs = [(named, row) for row in (items if isinstance(items, list) else [items])]
        names = {name for name, _ in pairs}
        if self._of_table is None:
            raise SourceError(
                f"{self._table}: the dlt resource {self._name} names the table of its rows ({', '.join(sorted(names)[:5])}). Write"
                f" one block for each that you want: `resource: {self._name}` and `table: NAME`."
            )
        others = names - {self._of_table} - self._left_out
        self._left_out |= others
        notes = [f"rows of the dlt table {name} were left out of this one" for name in sorted(others)]
        return [row for name, row in pairs if name == self._of_table], tuple(notes[:20])

    def _named(self, meta: Any) -> str | None:
        if isinstance(meta, TableNameMeta):
            return str(meta.table_name)
        if isinstance(meta, HintsMeta):
            return str(meta.hints.get("table_name")) if meta.create_table_variant else None
        if meta is not None and type(meta).__name__ == "ImportFileMeta":
            raise SourceError(
                f"{self._table}: the dlt resource {self._name} hands over a file for dlt to load as it is. Read the files with a"
                " source of `kind: files`."
            )
        return None

    def _close(self) -> None:
        if self._items is not None:
            self._items.close()


def secrets_in(called: Called, text: str) -> bool:
    """Whether a value that the environment gave stands in ``text``."""
    return any(secret in text for secret in called.secrets)
