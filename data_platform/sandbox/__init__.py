"""A local PostgreSQL server with the simulated data of a shop, local servers in place of the services around it, and
simulated traffic on demand.

For local work, demos and tests only. Importing this costs nothing: drivers and
engines are imported when a function needs them.
"""

from __future__ import annotations

from data_platform.sandbox.box import SandboxInfo, deliver, delivered, down, status, up
from data_platform.sandbox.traffic import TrafficSummary, traffic

__all__ = ["SandboxInfo", "TrafficSummary", "deliver", "delivered", "down", "status", "traffic", "up"]
