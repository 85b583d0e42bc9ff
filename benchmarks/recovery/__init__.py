"""Backups and recoveries of a source's own database, measured on a real PostgreSQL. ``python -m benchmarks.recovery``."""
