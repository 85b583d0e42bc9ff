"""What a table of deliveries can never do: be read whole."""

from __future__ import annotations

from data_platform.errors import PositionLost
from data_platform.sources.reading import Plan


def not_again(plan: Plan) -> None:
    """PositionLost where what has landed would be replaced by the little that waits."""
    if plan.load != "replace" or plan.prior.position is None:
        return
    why = "; ".join(plan.reasons) or "it was asked for"
    raise PositionLost(
        f"{plan.table.id} would have to be read whole ({why}), and what was delivered is not delivered again. Nothing was"
        " changed. Undo what calls for it, or give the table another name in the catalog: that table begins with"
        " the next delivery, and this one's rows stay where they are. `data-platform rebuild` makes the raw table"
        " anew from what has landed."
    )
