"""What stands before the Dagster UI: it has no login and believes every request."""
