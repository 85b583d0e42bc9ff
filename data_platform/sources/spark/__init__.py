"""Tables that Spark computes from landed tables: Spark reads and writes Parquet, the platform lands what it wrote."""
