"""Real series: the Online Retail data (UCI, CC BY 4.0), by day, hour, country and product.

The data is read from a folder of gzipped CSV files, one a day, and never copied. Its own oddities carry no label, so
what is found outside of injected incidents counts as false, though some of it is real: figures on it are a floor.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import numpy as np

from benchmarks.anomaly.dataset import Labelled, labelled
from data_platform.quality.anomaly.series import Kind

COUNTRIES, PRODUCTS = 8, 40
HOURS = range(9, 17)
INCIDENTS = 3


def metrics(folder: Path) -> Iterator[tuple[str, str, Kind, np.ndarray, date]]:
    """Shape, name, kind, values of every day (0 where nothing was sold, NaN where a rate is unknown), first day."""
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            "CREATE TABLE lines AS SELECT *, CAST(InvoiceDate AS TIMESTAMP) AS moment, CAST(InvoiceDate AS DATE) AS day"
            " FROM read_csv(?, header = true, all_varchar = true)",
            [str(folder / "*.csv.gz")],
        )
        found = connection.execute("SELECT min(day), max(day) FROM lines").fetchone()
        assert found is not None
        first, last = found
        length = (last - first).days + 1

        def series(value: str, where: str = "true", missing: float = 0.0) -> np.ndarray:
            values = np.full(length, missing)
            for day, one in connection.execute(
                f"SELECT day, {value} FROM lines WHERE {where} GROUP BY day"
            ).fetchall():
                values[(day - first).days] = one
            return values

        def top(column: str, count: int) -> list[str]:
            return [
                row[0]
                for row in connection.execute(
                    f"SELECT {column} FROM lines GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {count}"
                ).fetchall()
            ]

        revenue = "sum(CAST(Quantity AS DOUBLE) * CAST(UnitPrice AS DOUBLE))"
        yield "day", "rows", "count", series("count(*)"), first
        yield "day", "invoices", "count", series("count(DISTINCT InvoiceNo)"), first
        yield "day", "customers", "count", series("count(DISTINCT CustomerID)"), first
        yield "day", "cancelled lines", "count", series("count(*)", "InvoiceNo LIKE 'C%'"), first
        yield "day", "revenue", "signed", series(revenue), first
        cancelled = "sum(-CAST(Quantity AS DOUBLE) * CAST(UnitPrice AS DOUBLE))"
        yield "day", "cancelled value", "amount", series(cancelled, "InvoiceNo LIKE 'C%'"), first
        yield "day", "largest quantity", "amount", series("max(abs(CAST(Quantity AS DOUBLE)))"), first
        yield "day", "highest price", "amount", series("max(abs(CAST(UnitPrice AS DOUBLE)))"), first
        no_customer = "avg(CASE WHEN CustomerID IS NULL OR CustomerID = '' THEN 1.0 ELSE 0.0 END)"
        yield "day", "CustomerID null rate", "rate", series(no_customer, missing=np.nan), first
        no_price = "avg(CASE WHEN CAST(UnitPrice AS DOUBLE) = 0 THEN 1.0 ELSE 0.0 END)"
        yield "day", "zero price rate", "rate", series(no_price, missing=np.nan), first
        for hour in HOURS:
            yield "hour", f"rows at {hour}:00", "count", series("count(*)", f"hour(moment) = {hour}"), first
        for name in top("Country", COUNTRIES):
            yield "country", f"rows of {name}", "count", series("count(*)", f"Country = '{name}'"), first
        for name in top("StockCode", PRODUCTS):
            yield "product", f"rows of {name}", "count", series("count(*)", f"StockCode = '{name}'"), first


def real(folder: Path, seed: int) -> list[Labelled]:
    """Each metric with three injected incidents; those on a rate without a value are left out."""
    found = []
    for number, (shape, name, kind, values, first) in enumerate(metrics(folder)):
        rng = np.random.default_rng([seed, number, *name.encode()])
        found.append(labelled(shape, "real", kind, values, first, number, rng, incidents=INCIDENTS))
    return found
