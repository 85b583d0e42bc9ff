"""Airbyte's manifests, run by Airbyte's program and read through the platform's door."""
