"""The log of retention in the landing store."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError
from data_platform.privacy.retention.requests import LOG, Application, applied, fold
from data_platform.privacy.retention.rule import Limit
from data_platform.sync.platform import Platform
from data_platform.tables import TableId


class Book:
    """The limits that were applied on one platform. Opening it asks nothing of the store."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.log = Log(platform.store, LOG, platform.signer, platform.clock)

    def read(self) -> dict[str, Application]:
        return fold(self.log.entries())

    def application(self, id_: str) -> Application:
        """ConfigurationError where there is none."""
        found = self.read().get(id_)
        if found is None:
            raise ConfigurationError(
                f"Retention was never applied under {id_!r}. `data-platform retention show` lists what was."
            )
        return found


def limits_in_force(platform: Platform) -> Mapping[TableId, Limit]:
    """The limits before which no row lands any more: those that were applied last to tables that still have a rule. Without such a table
    nothing is asked."""
    ruled = [table.id for table in platform.catalog.ruled_by_retention()]
    if not ruled:
        return {}
    last = applied(Book(platform).read())
    return {table: last[table] for table in ruled if table in last}
