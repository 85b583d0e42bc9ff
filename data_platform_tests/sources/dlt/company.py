"""Real dlt sources over a server of a test's: what people write, in small."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import dlt
import pandas as pd
import pyarrow as pa
from dlt.sources.helpers import requests

CALLED: list[str] = []
"""What was walked in this process, in order."""


@dlt.source
def shop(url: str, token: str = dlt.secrets.value) -> Any:
    """Resources over ``url``, whose pages are lists of records."""

    def pages(name: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
        page: int | None = 0
        while page is not None:
            answer = requests.Client(request_max_attempts=1).get(
                f"{url}/{name}", params={**params, "page": page}, headers={"Authorization": f"Bearer {token}"}
            )
            answer.raise_for_status()
            body = answer.json()
            yield body["records"]
            page = body["next"]

    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(changed: Any = dlt.sources.incremental("changed", row_order="asc")) -> Iterator[Any]:
        yield from pages("orders", since=changed.last_value or 0)

    @dlt.resource(primary_key="id", write_disposition="merge")
    def unordered(changed: Any = dlt.sources.incremental("changed")) -> Iterator[Any]:
        yield from pages("orders", since=changed.last_value or 0)

    @dlt.transformer(data_from=orders, primary_key="line", parallelized=True)
    def lines(found: list[dict[str, Any]]) -> Iterator[Any]:
        for order in found:
            yield [{"line": f"{order['id']}-{n}", "order": order["id"]} for n in range(2)]

    @dlt.resource(primary_key="id")
    def by_token() -> Iterator[Any]:
        state = dlt.current.resource_state()
        for records in pages("orders", since=state.get("since", 0)):
            if records:
                state["since"] = records[-1]["changed"] + 1
            yield records

    @dlt.resource(parallelized=True, primary_key="id")
    def parallel() -> Iterator[Any]:
        yield from pages("orders", since=0)

    @dlt.resource(primary_key="id")
    async def later() -> AsyncIterator[Any]:
        for n in range(5):
            yield {"id": n}

    @dlt.resource(primary_key="id", table_name=lambda row: f"event_{row['kind']}")
    def events() -> Iterator[Any]:
        yield [{"id": n, "kind": "ab"[n % 2]} for n in range(6)]

    @dlt.resource
    def marked() -> Iterator[Any]:
        yield dlt.mark.with_table_name({"id": 1}, "one")
        yield dlt.mark.with_table_name([{"id": 2}, {"id": 3}], "two")

    return orders, unordered, lines, by_token, parallel, later, events, marked


@dlt.resource(
    primary_key="id",
    write_disposition="merge",
    columns={
        "price": {"data_type": "decimal", "precision": 10, "scale": 2},
        "gone": {"hard_delete": True, "data_type": "bool"},
    },
)
def typed() -> Iterator[Any]:
    yield {
        "id": 1,
        "price": Decimal("1.10"),
        "exact": Decimal("0.1234567890123456"),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        "naive": datetime(2026, 1, 2, 3, 4, 5),
        "day": date(2026, 1, 2),
        "hour": time(1, 2, 3),
        "raw": b"\x00\xff",
        "uid": UUID(int=1),
        "long": 12345678901234567890,
        "inside": {"at": datetime(2026, 1, 2, tzinfo=UTC), "n": Decimal("2.50")},
    }
    yield {"id": 2, "price": None, "x": float("nan")}
    yield {"id": 3, "gone": True, "price": Decimal("3")}


@dlt.resource
def arrow(rows: int = 3) -> Iterator[Any]:
    CALLED.append("arrow")
    yield pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "money": pa.array([Decimal("1.10")] * rows, pa.decimal128(10, 2)),
            "at": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * rows, pa.timestamp("us", "UTC")),
        }
    )
    yield pd.DataFrame(
        {
            "id": [rows, rows + 1],
            "money": [Decimal("2.20"), None],
            "at": [None, pd.Timestamp("2026-01-03", tz="UTC")],
        }
    )


@dlt.resource
def broken(secret: str) -> Iterator[Any]:
    yield [{"id": 1}]
    raise KeyError(f"the row of Eve, {secret}")


@dlt.resource
def odd() -> Iterator[Any]:
    yield [{"id": 1, "what": object()}]


def nothing() -> int:
    return 7
