"""How the server behind a source is reached by the programs of its maker: for backups of the whole server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """``parameters`` are libpq's, a password among them: a secret. ``variable`` names the environment variable they are
    from; ``source`` is the source's name."""

    source: str
    variable: str
    parameters: Mapping[str, str] = field(repr=False)

    @property
    def conninfo(self) -> str:
        """libpq's string, for a connection of this process: a secret."""
        from psycopg import conninfo

        return conninfo.make_conninfo(**self.parameters)
