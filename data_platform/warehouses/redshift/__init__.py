"""The Redshift warehouse: a database of a cluster or a workgroup; batches come in through S3."""
