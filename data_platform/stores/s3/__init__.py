"""Stores in an S3 bucket: AWS, or a service that speaks the same."""
