"""Stores in a Google Cloud Storage bucket."""
