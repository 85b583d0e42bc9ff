"""A start-up in a box: a real PostgreSQL with a shop's history in it, and live business on demand.

For local work, demos and tests only. Importing this costs nothing: drivers and
engines are imported when a function needs them.
"""

from __future__ import annotations

from data_platform.sandbox.box import SandboxInfo, down, status, up
from data_platform.sandbox.traffic import TrafficSummary, traffic

__all__ = ["SandboxInfo", "TrafficSummary", "down", "status", "traffic", "up"]
