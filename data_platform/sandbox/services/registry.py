"""Which services there are: a line a service, its ``Service`` named as ``module:attribute``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_platform.sandbox.services.service import Service

SERVICES: Mapping[str, str] = {"stripe": "data_platform.sandbox.services.stripe:SERVICE"}


def load(where: str) -> Service:
    """The service at ``module:attribute``; its module is imported now."""
    module, _, attribute = where.partition(":")
    service: Service = getattr(importlib.import_module(module), attribute)
    return service
