"""What is measured: one module a group, with ``CASES`` and ``results``, and one line here.

How a command is measured is ``measure.py``'s; what the figures say is in docs/benchmarks.md.
"""

from benchmarks.cases import (
    backup,
    company,
    files,
    graph,
    growth,
    ledger,
    many,
    narrow,
    records,
    table,
    webhooks,
    wide,
)

GROUPS = (table, narrow, wide, many, ledger, growth, backup, graph, company, records, files, webhooks)
"""In the order in which they run."""
NAMES = tuple(name for group in GROUPS for name in group.CASES)
