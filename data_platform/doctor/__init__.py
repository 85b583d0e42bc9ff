"""Checks everything that the platform depends on: one finding for each check, and what to do.

``look.py`` queries the catalog, the sources, the stores, the warehouse and Dagster's records;
``verdicts.py`` evaluates the answers and is pure. Nothing is changed, except that one object is
created in each store and removed again.
"""

from __future__ import annotations

from data_platform.doctor.look import examine
from data_platform.findings import Finding

__all__ = ["Finding", "examine"]
