"""A DuckLake: DuckDB over Parquet files in a folder or a bucket, with its catalog in PostgreSQL."""
