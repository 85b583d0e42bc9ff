"""The catalog as the rest of the platform uses it: frozen, every default resolved.

``files.py`` defines the content of the files; nothing here reads one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import InstanceOf

from data_platform.catalog.environment import Environment, Privacy
from data_platform.catalog.named import named
from data_platform.catalog.ruled_models import RuledModel
from data_platform.catalog.source import Source
from data_platform.catalog.table import Table
from data_platform.errors import ConfigurationError
from data_platform.observability.config import FigureConfig
from data_platform.privacy.subjects.graph import Subject
from data_platform.tables import NOT_PERSONAL, TableId
from data_platform.yaml_fields import Frozen, FrozenDict, Model


class Catalog(Model):
    """Everything the YAML says. Relative paths in it are relative to ``root``."""

    root: Path
    environments: Annotated[Mapping[str, Environment], Frozen]
    privacy: Privacy = Privacy()
    figures: tuple[FigureConfig, ...] = ()
    sources: Annotated[Mapping[str, Source], Frozen]
    models: Annotated[Mapping[str, RuledModel], Frozen] = FrozenDict()
    """The dbt models that have rules or other checks, by name."""
    subjects: Annotated[Mapping[str, InstanceOf[Subject]], Frozen] = FrozenDict()
    """The kinds of people that the data is about, by name."""
    questions: tuple[str, ...] = ()
    """Unconfirmed guesses, each with its file and line."""
    left_out: tuple[str, ...] = ()
    """Mistakes in source files that were left out, if only readable files were requested."""
    not_configured: Annotated[Mapping[str, tuple[str, ...]], Frozen] = FrozenDict()
    """Optional sources that were left out because none of their variables is set, and these variables."""

    def environment(self, name: str) -> Environment:
        """ConfigurationError, with near matches, when there is none."""
        return named(self.environments, name, "catalog/platform.yaml has no environment", "It has")

    def source(self, name: str) -> Source:
        """ConfigurationError, with near matches, when there is none; where it is not configured, with what to set."""
        if name in self.not_configured:
            raise ConfigurationError(
                f"The source {name!r} is not configured, so it is left out. Put {', '.join(self.not_configured[name])} into"
                " .env or the environment."
            )
        return named(self.sources, name, "the catalog has no source", "It has")

    def without(self, not_configured: Mapping[str, tuple[str, ...]]) -> Catalog:
        """This catalog without these of its sources."""
        sources = FrozenDict({name: one for name, one in self.sources.items() if name not in not_configured})
        return self.model_copy(update={"sources": sources, "not_configured": FrozenDict(not_configured)})

    def subject(self, name: str) -> Subject:
        """ConfigurationError, with near matches, when there is none."""
        return named(self.subjects, name, "catalog/subjects.yaml has no subject", "It has")

    def without_subject(self) -> list[TableId]:
        """Tables that declare personal columns, and whose rows are nobody's by ``subjects``."""
        reached = {table for subject in self.subjects.values() for table in subject.tables}
        return [
            table.id
            for source in self.sources.values()
            for table in source.tables.values()
            if set(table.personal.values()) - {NOT_PERSONAL} and table.id not in reached
        ]

    def asks_consent(self) -> bool:
        """Whether a kind of people is asked for what their data may be used."""
        return any(subject.consent is not None for subject in self.subjects.values())

    def ruled_by_retention(self) -> list[Table]:
        """The tables that say how long their rows are kept."""
        return [
            table
            for source in self.sources.values()
            for table in source.tables.values()
            if table.retention is not None
        ]

    def absences(self) -> list[str]:
        """A sentence for each source that is not configured."""
        return [
            f"{name} is not configured, so it is left out: none of {', '.join(variables)} is set."
            for name, variables in self.not_configured.items()
        ]

    def table(self, table: TableId) -> Table:
        """ConfigurationError, with near matches, when there is none."""
        return self.source(table.source).table(table.table)

    def cluster_of(self, table: TableId) -> tuple[str, ...]:
        """By which columns the raw table is ordered; none of a table that is not in the catalog any more."""
        source = self.sources.get(table.source)
        known = source.tables.get(table.table) if source else None
        return known.cluster if known else ()

    def table_ids(self) -> tuple[TableId, ...]:
        return tuple(table.id for source in self.sources.values() for table in source.tables.values())
