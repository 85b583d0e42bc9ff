"""The log of retention in the landing store."""

from __future__ import annotations

from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError
from data_platform.privacy.retention.requests import LOG, Application, fold
from data_platform.sync.platform import Platform


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
