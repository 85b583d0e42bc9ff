"""What a sync loses: the same cases against this project, dlt and Sling. ``python -m benchmarks.exactness``.

Speed is measured in the package above; docs/exactness.md has the table and how it is read.
"""
