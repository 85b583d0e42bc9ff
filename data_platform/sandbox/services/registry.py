"""Which services there are: a line a service, its ``Service`` named as ``module:attribute``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_platform.sandbox.services.service import Service

SERVICES: Mapping[str, str] = {
    "files": "data_platform.sandbox.services.files.service:SERVICE",
    "ga4": "data_platform.sandbox.services.ga4.service:SERVICE",
    "stripe": "data_platform.sandbox.services.stripe:SERVICE",
    "zendesk": "data_platform.sandbox.services.zendesk.service:SERVICE",
}


def load(where: str) -> Service:
    """The service at ``module:attribute``; its module is imported now."""
    module, _, attribute = where.partition(":")
    service: Service = getattr(importlib.import_module(module), attribute)
    return service
