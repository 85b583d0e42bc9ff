"""The models built in other engines than a DuckDB file, and their figures."""
