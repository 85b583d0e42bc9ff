"""A company of thousands of tables, simulated: real code over a ledger in memory, on a clock that nobody waits for.

``python -m benchmarks.scale --tables 10000 --runs 100`` prints how long each stage takes, how busy it is, and which is the
first that cannot keep up (docs/scale.md).
"""
