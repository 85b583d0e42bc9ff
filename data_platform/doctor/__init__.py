"""Whether everything the platform leans on is there: one finding a check, and what to do.

``verdicts.py`` decides, purely; ``look.py`` asks the catalog, the sources, the stores, the
warehouse and Dagster's records. Nothing is changed but an object that is made and removed again.
"""

from __future__ import annotations

from data_platform.doctor.look import examine
from data_platform.findings import Finding

__all__ = ["Finding", "examine"]
