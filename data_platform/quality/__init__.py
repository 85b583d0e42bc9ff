"""Data quality: rules of one line each, and the proof that nothing is missing.

``rules.py`` defines the rules. Nothing here connects to a source or knows Dagster.
"""
