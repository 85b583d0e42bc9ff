"""The Open Data Contract Standard (ODCS v3), written and read: what the catalog promises of a table, for others to check too.

``rules.py`` translates a rule, ``write.py`` makes a contract of relations, ``read.py`` reads one. The package
``open-data-contract-standard`` has the standard's own model; it is the extra ``odcs``.
"""
