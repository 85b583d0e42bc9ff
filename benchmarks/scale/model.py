"""``python -m benchmarks.scale.model``: what so many tables and so many bytes a day take, from measured constants.

docs/scale.md holds the table that this prints, and says where each constant comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.scale.costs import Costs

DAY, MONTH_DAYS = 86_400, 30
GB = 1e9


@dataclass(frozen=True)
class Measured:
    """Of a machine with two cores, unless it says otherwise (docs/benchmarks.md); requests by the simulation."""

    full_bytes_a_second: float = 63e6
    """Rows of a database as COPY writes them, read, landed, summed and loaded into DuckDB."""
    changed_table: float = Costs.read_table + Costs.load_table
    """CPU seconds of a table with few new rows, beyond its rows."""
    run: float = Costs.run
    """CPU seconds before a run's first message to the source."""
    look_table: float = Costs.look_table
    """CPU seconds a table, each look."""
    reads_a_batch: float = 7.3
    lists_a_batch: float = 1.8
    writes_a_batch: float = 3.0
    parquet_share: float = 0.23
    """Bytes of a landed part over the same rows' bytes in COPY's binary format."""


@dataclass(frozen=True)
class Prices:
    """Dollars. List prices as they are usually quoted for one region of the United States: check your own."""

    list: float = 5e-6
    write: float = 5e-6
    read: float = 0.4e-6
    gb_month: float = 0.023


@dataclass(frozen=True)
class Company:
    tables: int
    gb_a_day: float
    batches_a_day: float
    """Of a table."""
    tables_a_run: float
    """How many of the tables that changed one run takes."""


LOOKS_A_DAY = DAY / 30
REREADS_A_DAY = DAY / 600
"""A sensor trusts a head that it has read for ten minutes."""

COMPANIES = (
    Company(10, 1, 24, 2),
    Company(100, 10, 48, 10),
    Company(1_000, 100, 96, 10),
    Company(1_000, 1_000, 96, 10),
    Company(10_000, 1_000, 96, 10),
    Company(10_000, 10_000, 96, 10),
)


@dataclass(frozen=True)
class Needs:
    cores: float
    """Busy all day, on average; a day has peaks, so plan for three times as many."""
    slots: float
    """Runs side by side, on average."""
    requests_a_second: float
    store_dollars_a_month: float
    stored_gb_a_month: float


def needs(company: Company, of: Measured, prices: Prices) -> Needs:
    batches = company.tables * company.batches_a_day
    runs = batches / company.tables_a_run
    bytes_cpu = 2 * company.gb_a_day * GB / of.full_bytes_a_second
    looks_cpu = company.tables * LOOKS_A_DAY * of.look_table
    runs_cpu = runs * of.run + batches * of.changed_table
    lists = batches * of.lists_a_batch + company.tables * REREADS_A_DAY
    reads = batches * of.reads_a_batch + company.tables * REREADS_A_DAY
    writes = batches * of.writes_a_batch
    stored = company.gb_a_day * of.parquet_share * MONTH_DAYS
    dollars = MONTH_DAYS * (lists * prices.list + reads * prices.read + writes * prices.write)
    return Needs(
        cores=(bytes_cpu + looks_cpu + runs_cpu) / DAY,
        slots=(runs_cpu + bytes_cpu / 2) / DAY,
        requests_a_second=(lists + reads + writes) / DAY,
        store_dollars_a_month=dollars + stored * prices.gb_month,
        stored_gb_a_month=stored,
    )


def table() -> str:
    """As docs/scale.md shows it."""
    lines = [
        "| tables | GB a day | batches a day | cores busy | runs side by side | requests a second | landed GB a month | bucket, $ a month |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for company in COMPANIES:
        found = needs(company, Measured(), Prices())
        lines.append(
            f"| {company.tables:,} | {company.gb_a_day:,.0f} | {company.tables * company.batches_a_day:,.0f}"
            f" | {found.cores:.2f} | {found.slots:.1f} | {found.requests_a_second:,.1f}"
            f" | {found.stored_gb_a_month:,.0f} | {found.store_dollars_a_month:,.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
