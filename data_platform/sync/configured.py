"""Which sources are configured: an optional one is left out while none of its variables is set."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data_platform.catalog import Catalog, Source
from data_platform.errors import DataPlatformError
from data_platform.landing.keys import manifests_of
from data_platform.stores import Store


def configured(catalog: Catalog, environ: Mapping[str, str], landing: Callable[[], Store]) -> Catalog:
    """``catalog`` without the optional sources that have no variable set and have never landed anything.

    A source that has landed stays, so that a variable that was lost is an error of its next sync and never silence.
    So does one of which the store cannot say it. The landing store is only opened for a source without variables.
    """
    absent = {}
    for source in catalog.sources.values():
        if source.optional and not _set(source, environ) and not _has_landed(source, landing):
            absent[source.name] = _variables(source, environ)
    return catalog.without(absent) if absent else catalog


def _variables(source: Source, environ: Mapping[str, str]) -> tuple[str, ...]:
    keys = source.connection.variables(environ)
    return tuple(dict.fromkeys(source.connection.variable(key) for key in keys))


def _set(source: Source, environ: Mapping[str, str]) -> bool:
    return any(environ.get(name, "").strip() for name in _variables(source, environ))


def _has_landed(source: Source, landing: Callable[[], Store]) -> bool:
    try:
        store = landing()
        if not store.list(source.name, limit=1):  # the usual case, by one request
            return False
        return any(store.list(manifests_of(table.id), limit=1) for table in source.tables.values())
    except DataPlatformError:
        return True
