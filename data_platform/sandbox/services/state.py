"""What is remembered of a sandbox's services: a port and the secrets of each, in a file for its owner alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_platform.private_files import make_private
from data_platform.sandbox.services.service import Place, Service

SHOP = "shop"
"""The database whose rows feed the services."""


@dataclass(frozen=True, slots=True)
class State:
    """``services`` maps a name to ``where`` its code is, its ``port`` and its ``secrets``."""

    home: Path
    services: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, home: Path) -> State:
        """Nothing when there is no file or it cannot be understood: ports and secrets are then made again."""
        try:
            services = json.loads(cls(home, {}).path.read_text())["services"]
            whole = all({"where", "port", "secrets"} <= one.keys() for one in services.values())
        except (OSError, ValueError, KeyError, AttributeError):
            return cls(home, {})
        return cls(home, services if whole else {})

    @property
    def folder(self) -> Path:
        return self.home / "services"

    @property
    def path(self) -> Path:
        return self.folder / "state.json"

    def where(self, name: str) -> str:
        return str(self.services[name]["where"])

    def place(self, name: str) -> Place:
        known = self.services[name]
        return Place(name, self.folder / name, int(known["port"]), dict(known["secrets"]))

    def remember(self, service: Service, where: str, port: int) -> None:
        """Secrets that the service has already stay; those it has come to need are added."""
        secrets = {**service.secrets(), **self.services.get(service.name, {}).get("secrets", {})}
        self.services[service.name] = {"where": where, "port": port, "secrets": secrets}
        make_private(self.folder / service.name)

    def write(self) -> None:
        partial = self.path.with_suffix(".new")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(json.dumps({"services": self.services}, indent=1))
        partial.replace(self.path)
