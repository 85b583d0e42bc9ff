"""The BigQuery warehouse: jobs of its client, statements in GoogleSQL."""
