"""The DuckDB warehouse: one file on a disk of this machine."""
