"""What makes objects an answer: expanded references, lists inside objects cut, the version's shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.services.stripe.balance import TRANSACTION
from data_platform.sandbox.services.stripe.errors import StripeFault
from data_platform.sandbox.services.stripe.events import KINDS
from data_platform.sandbox.services.stripe.kinds import Kind, Object
from data_platform.sandbox.services.stripe.params import Params
from data_platform.sandbox.services.stripe.payments import REFUND
from data_platform.sandbox.services.stripe.store import Wanted, details, objects, page

if TYPE_CHECKING:
    from data_platform.sandbox.services.database import Connection

DEEPEST = 4


def expand(connection: Connection, found: Sequence[Object], paths: Iterable[str], listed: bool) -> None:
    """Put objects where their ids are, along ``paths``; StripeFault for a path that leads nowhere."""
    for path in sorted(paths):
        steps = path.split(".")
        if listed and steps[0] == "data":
            steps = steps[1:]
        elif listed:
            raise _not_expandable(path)
        if not steps or len(steps) > DEEPEST:
            raise _not_expandable(path)
        here: list[Object] = list(found)
        for step in steps:
            here = _follow(connection, here, step, path)


def _follow(connection: Connection, here: Sequence[Object], step: str, path: str) -> list[Object]:
    if step == "refunds" and all(one["object"] == "charge" for one in here):
        return _refunds(connection, here)
    if any(step not in one for one in here):
        raise _not_expandable(path)
    kinds = (*KINDS.values(), TRANSACTION)
    for kind in kinds:
        ids = {str(one[step]) for one in here if isinstance(one[step], str) and kind.key(one[step])}
        if ids:
            known = _by_id(connection, kind, sorted(ids))
            for one in here:
                if one[step] in ids:
                    one[step] = known.get(one[step], one[step])
    beyond: list[Object] = []
    for one in here:
        value = one[step]
        if isinstance(value, dict):
            beyond += value["data"] if value.get("object") == "list" else [value]
        elif isinstance(value, str):
            raise _not_expandable(path)
    return beyond


def _refunds(connection: Connection, charges: Sequence[Object]) -> list[Object]:
    beyond: list[Object] = []
    for one in charges:
        places, _ = page(connection, REFUND, Params(limit=100, others={"charge": one["id"]}))
        data = objects(connection, REFUND, places)
        one["refunds"] = {
            "object": "list", "data": data, "has_more": False, "url": f"/v1/charges/{one['id']}/refunds",
        }  # fmt: skip
        beyond += data
    return beyond


def _by_id(connection: Connection, kind: Kind, ids: Sequence[str]) -> dict[str, Object]:
    known = [(id_, place) for id_ in ids if (place := kind.key(id_))]
    now = datetime.now(UTC)
    rows = details(connection, kind, [Wanted(source.letter, key, now) for _, (source, key) in known])
    return {id_: kind.render(row) for (id_, _), row in zip(known, rows, strict=True) if row is not None}


def _not_expandable(path: str) -> StripeFault:
    return StripeFault(400, f"This property cannot be expanded ({path}).", param="expand")


def cut(value: Any, most: int) -> None:
    """Lists inside of objects end after ``most``, and say that there is more."""
    if isinstance(value, list):
        for one in value:
            cut(one, most)
    elif isinstance(value, dict):
        if value.get("object") == "list" and len(value["data"]) > most:
            value["data"], value["has_more"] = value["data"][:most], True
        for one in value.values():
            cut(one, most)
