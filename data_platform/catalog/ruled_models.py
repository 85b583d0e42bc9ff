"""A dbt model with what the catalog promises of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import InstanceOf

from data_platform.quality.evaluate import RuledRelation
from data_platform.quality.rules import Rule
from data_platform.yaml_fields import FrozenDict, Model


class RuledModel(Model):
    """``schema_`` is the schema as ``catalog/models`` names it; an environment may have a prefix before it."""

    schema_: str
    name: str
    owner: str | None = None
    key: tuple[str, ...] = ()
    partition: str | None = None
    timezone: str = "UTC"
    rules: tuple[InstanceOf[Rule], ...] = ()
    checks: Mapping[str, Any] = FrozenDict()
    """The settings of each check that is no rule, by its kind's name."""

    def at(self, schema: str, name: str) -> RuledRelation:
        """Its rules over the relation that dbt made of it."""
        return RuledRelation(
            schema, name, self.key, self.rules, partition=self.partition, timezone=self.timezone
        )
