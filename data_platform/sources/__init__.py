"""The kinds of source systems: one folder a kind, with the YAML it accepts and the code that reads it.

A kind is registered in ``kinds.py`` (what the catalog may say). Nothing here
knows a warehouse, a landing store or Dagster.
"""
