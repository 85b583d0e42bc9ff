"""Dagster's entry point: what workspace.yaml names, and `dg check defs` loads.

Nothing is read when this module is imported. The definitions come from the catalog
and dbt's manifest alone, so they load with every source down and no secret set. A source whose file
has a mistake is left out, and stops no other; `defs/watch.py` reports it.
"""

from __future__ import annotations

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    import atexit
    import gc
    import os

    # Definitions are objects that stay, more than a million for 2,000 tables: looking through all of them again
    # and again for some that could go was a third of the time that loading takes. 700, 10, 10 by default.
    gc.set_threshold(50_000, 10, 10)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # nor once more for nothing when the process ends

    from data_platform.catalog import project_root
    from data_platform.defs import migrations
    from data_platform.defs.loaded import loaded
    from data_platform.defs.orphans import end_with_parent
    from data_platform.private_files import keep_private

    end_with_parent()
    keep_private()
    migrations.install()
    return loaded(project_root(), os.environ.get("DATA_PLATFORM_ENV") or "local")
