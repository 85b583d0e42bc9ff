"""A guard in front of the Dagster UI, which has no login and obeys every request."""
