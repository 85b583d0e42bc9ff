"""How fast the platform is, beside the fastest thing its source can do: ``python -m benchmarks``.

Nothing of the platform imports this package. What is measured, and against which
limit, is in ``cases.py``; why these figures, in docs/benchmarks.md.
"""
