"""The kinds of source systems: one folder a kind, with the YAML it accepts and the code that reads it.

A kind is one line of ``kinds.py``; what it says of itself is a ``kind.Kind``, and how it is read and looked at
are the protocols of ``reading.py`` and ``looking.py``. Nothing here knows a warehouse, a landing store or Dagster.
"""
