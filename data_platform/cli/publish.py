"""``publish``: copies what the catalog's ``publish:`` names for readers, who then never wait for a load."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import ago, plural, progress, remark, say, say_json, size

if TYPE_CHECKING:
    from pathlib import Path

    from data_platform.warehouses.publishing import Publication


def publish(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Publish a read-only copy of the marts, or of what `publish:` names. Readers of the last one are not disturbed.

    Relations that did not change are taken from the last publication. The warehouse is held while it is read.
    """
    platform = open_project(root, environment)
    from data_platform.sync import publish as publishing

    where = publishing.place(platform)
    with progress("publishing"):
        made = publishing.publish(platform)
    apart = publishing.withheld(platform)
    if json:
        say_json({**fields(made, where), "withheld": apart})
        return
    say(f"{content(made)}, in {where}")
    say(f"{made.copied} copied, {len(made.relations) - made.copied} as they were in the last publication.")
    if made.left_out:
        remark(
            f"Left out, since they hold something of a person, or may: {', '.join(made.left_out)}. `publish: classes:` lets classes of"
            " personal data go, `publish: personal:` single columns."
        )
    if apart:
        remark(f"Not published, since they are made for another purpose: {', '.join(apart)}.")


def content(one: Publication) -> str:
    return f"{plural(len(one.relations), 'relation')}, {one.rows:,} rows, {size(one.bytes)}"


def sentence(one: Publication, where: Path, now: datetime) -> str:
    """What a publication holds, where and how old it is."""
    return f"Publication: {ago(datetime.fromisoformat(one.made_at), now)}, {content(one)}, in {where}"


def fields(one: Publication, where: Path) -> dict[str, Any]:
    """A publication in ``--json``, as docs/cli.md describes it."""
    return {
        "path": str(where),
        "id": one.id,
        "made_at": one.made_at,
        "loaded_up_to": max((load.loaded_at for load in one.loads), default=None),
        "rows": one.rows,
        "bytes": one.bytes,
        "copied": one.copied,
        "relations": [
            {
                "relation": f"{relation.schema}.{relation.name}",
                "kind": relation.kind,
                "rows": relation.rows,
                "left_out": list(relation.left_out),
                "changed_at": relation.changed_at,
            }
            for relation in one.relations
        ],
    }
