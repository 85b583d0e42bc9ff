"""``maintain``: looks after a warehouse that needs it."""

from __future__ import annotations

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import remark, say, say_json


def maintain(
    json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None
) -> None:
    """Merge the warehouse's small files, apply its deletes and remove what is old.

    No row changes. Loads may go on meanwhile. The asset `maintenance/warehouse` does the same on a schedule.
    """
    platform = open_project(root, environment)
    from data_platform.sync.maintenance import maintain as look_after

    upkeep = look_after(platform)
    if json:
        say_json({"ok": True, "done": dict(upkeep.done), "left": list(upkeep.left)})
        return
    for what, count in upkeep.done.items():
        say(f"{count:,} {what}")
    for table in upkeep.left:
        remark(f"{table} is left for the next time: somebody else changed it meanwhile.")
