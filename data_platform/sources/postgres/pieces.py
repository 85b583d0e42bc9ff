"""A unit of work whose rows are too large for a reader's memory, cut into ranges of fewer rows.

The engine takes 2,048 rows at a time, however large they are. So many rows of 90 kB do not fit into a
reader's memory; cut by ctid they do, at the price of finding the cuts. Only text of SQL belongs here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from data_platform.sources.postgres.types import literal

ROWS_PER_PIECE = 256
"""At first; a piece that does not fit either is cut into eighths, down to single rows."""


def predicates(
    ask: Callable[[str], Sequence[tuple[Any, ...]]], table: str, relation: str, predicate: str
) -> list[str]:
    """Predicates that share the rows of ``relation``, which reads ``table``, for which ``predicate`` holds among them; none where
    there is but one row, or no ctid to cut by. ``ask`` runs a query under the snapshot."""
    own = literal(table.removeprefix("only "))
    # a view has no ctid, and asking it for one would abort the transaction
    if not ask(f"select 1 from pg_attribute where attrelid = {own}::regclass and attname = 'ctid'"):
        return []
    ((rows,),) = ask(f"select count(*) from {relation} where {predicate}")
    each = ROWS_PER_PIECE if rows > ROWS_PER_PIECE else max(1, -(-rows // 8))
    numbered = f"select ctid, row_number() over (order by ctid) - 1 as n from {relation} where {predicate}"
    found = ask(f"select distinct ctid::text from ({numbered}) r where n > 0 and n % {each} = 0")
    starts = [
        f"'({block},{line})'::tid"
        for block, line in sorted(tuple(map(int, re.findall(r"\d+", start))) for (start,) in found)
    ]
    if not starts:
        return []
    ranges = [f"ctid >= {a} and ctid < {b}" for a, b in pairwise(starts)]
    return [f"({predicate}) and {some}" for some in (f"ctid < {starts[0]}", *ranges, f"ctid >= {starts[-1]}")]
