from __future__ import annotations

from data_platform_tests.defs.conftest import manifest

__all__ = ["manifest"]
