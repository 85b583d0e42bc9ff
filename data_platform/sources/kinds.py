"""Every kind of source that a catalog file may name: one line a kind. A kind is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from data_platform.errors import ConfigurationError
from data_platform.sources.kind import Connection, Kind, Rewritten
from data_platform.yaml_fields import Model

if TYPE_CHECKING:
    from datetime import date

    from data_platform.sources.answering import Answers
    from data_platform.sources.inbox.hook import Hook
    from data_platform.sources.looking import Looking, Privacy
    from data_platform.sources.reading import Opening, Reading
    from data_platform.sources.server_access import ServerAccess

M = TypeVar("M", bound=Model)

MODULES: Mapping[str, str] = {
    "postgres": "data_platform.sources.postgres.kind",
    "airbyte_manifest": "data_platform.sources.airbyte_manifest.kind",
    "dlt": "data_platform.sources.dlt.kind",
    "files": "data_platform.sources.files.kind",
    "ga4": "data_platform.sources.ga4.kind",
    "rest": "data_platform.sources.rest.kind",
    "spark": "data_platform.sources.spark.kind",
    "stripe": "data_platform.sources.stripe.kind",
    "webhook": "data_platform.sources.webhook.kind",
    "zendesk": "data_platform.sources.zendesk.kind",
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


def rewritten(kind: str, data: Mapping[str, Any]) -> Rewritten | None:
    """A source's file in the platform's keys, where ``kind`` takes it in another tool's words too."""
    known = kind_of(kind).rewrite
    if known is None:
        return None
    found: Rewritten = _function(known)(data)
    return found


def hook_of(kind: str, connection: Connection) -> Hook | None:
    """How others deliver to a source of ``kind``; None where nobody does."""
    known = kind_of(kind).hook
    if known is None:
        return None
    found: Hook | None = _function(known)(connection)
    return found


def server_access(
    kind: str, connection: Connection, environ: Mapping[str, str], *, source: str, url_env: str | None
) -> ServerAccess:
    """The server behind ``source``, to be backed up as a whole. ConfigurationError for a kind without one."""
    known = kind_of(kind)
    if known.server is None:
        raise ConfigurationError(
            f"The source {source!r} is of the kind {known.title}, which has no server that could be backed up."
        )
    found: ServerAccess = _function(known.server)(connection, environ, source=source, url_env=url_env)
    return found


def answers_of(kind: str) -> Answers | None:
    """How a source of ``kind`` is asked in SQL; None for a kind that knows none."""
    known = kind_of(kind).answers
    if known is None:
        return None
    found: Answers = _function(known)
    return found


def discover(
    kind: str,
    given: Mapping[str, Any],
    *,
    source: str,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
    root: Path = Path(),
) -> str:
    """The YAML text of a catalog file for a source of ``kind``. ``given`` are keys of its ``connection`` and of its
    file, as text; relative paths in them start at ``root``. ConfigurationError for what the kind does not take, and for a kind that drafts no file."""
    if kind not in MODULES:
        raise ConfigurationError(f"{kind!r} is not a kind of source. Known: {', '.join(MODULES)}.")
    known = kind_of(kind)
    if known.discover is None:
        raise ConfigurationError(
            f"A file for a source of the kind {known.title} is written by hand; docs/catalog.md lists its keys."
        )
    of_connection = _keys(known.connection)
    of_file = _keys(known.source_keys)
    if unknown := [key for key in given if key not in of_connection | of_file]:
        takes = ", ".join(sorted(of_connection | of_file))
        raise ConfigurationError(
            f"A source of the kind {known.title} has no key `{unknown[0]}`. It has {takes}."
        )
    text: str = _function(known.discover)(
        source=source,
        connection=_given(
            known, known.connection, {k: v for k, v in given.items() if k in of_connection}
        ).under(root),
        keys=_given(known, known.source_keys, {k: v for k, v in given.items() if k in of_file}),
        environ=environ,
        today=today,
        privacy=privacy,
    )
    return text


def _keys(model: type[Model]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _given(kind: Kind, model: type[M], values: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(map(str, wrong["loc"]))
        problem = "is missing" if wrong["type"] == "missing" else wrong["msg"]
        raise ConfigurationError(
            f"A source of the kind {kind.title}: `{key}`: {problem}. Give it with --set {key}=VALUE."
        ) from None


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
