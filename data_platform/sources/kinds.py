"""Every kind of source that a catalog file may name: one line a kind. A kind is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from data_platform.errors import ConfigurationError
from data_platform.sources.kind import Kind

if TYPE_CHECKING:
    from data_platform.sources.looking import Looking
    from data_platform.sources.reading import Opening, Reading

MODULES: Mapping[str, str] = {
    "postgres": "data_platform.sources.postgres.kind",
}
"""By name, the module whose ``KIND`` says the rest."""


def kind_of(name: str) -> Kind:
    """The kind called ``name``, one of ``MODULES``."""
    kind: Kind = import_module(MODULES[name]).KIND
    return kind


def open_reading(kind: str, opening: Opening) -> AbstractContextManager[Reading]:
    """A reading of the tables of ``opening``: what keeps all of them from being read is raised by entering it."""
    opened: AbstractContextManager[Reading] = _function(kind_of(kind).reading)(opening)
    return opened


def open_looking(kind: str, opening: Opening) -> AbstractContextManager[Looking]:
    """For who only looks at the tables of ``opening``."""
    opened: AbstractContextManager[Looking] = _function(kind_of(kind).looking)(opening)
    return opened


def discover(kind: str, **options: Any) -> str:
    """The YAML text of a catalog file for a source of ``kind``, which says what the ``options`` are."""
    known = kind_of(kind)
    if known.discover is None:
        raise ConfigurationError(f"A file for a source of the kind {known.title} is written by hand.")
    text: str = _function(known.discover)(**options)
    return text


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
