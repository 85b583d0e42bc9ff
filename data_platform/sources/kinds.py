"""Every kind of source that a catalog file may name: one line a kind. A kind is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from data_platform.sources.kind import Kind

MODULES: Mapping[str, str] = {
    "postgres": "data_platform.sources.postgres.kind",
}
"""By name, the module whose ``KIND`` says the rest."""


def kind_of(name: str) -> Kind:
    """The kind called ``name``, one of ``MODULES``."""
    kind: Kind = import_module(MODULES[name]).KIND
    return kind
