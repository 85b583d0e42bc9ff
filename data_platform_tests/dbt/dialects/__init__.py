"""dbt's real adapters on warehouses that are not there: the SQL they would send, read in its own dialect."""
