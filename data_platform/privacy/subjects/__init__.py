"""Whose row a row is: how a person is found, and by which columns the rows of other tables follow. Pure.

``config.py`` is the YAML, ``graph.py`` what it means, ``rows.py`` the SQL that selects a person's rows.
"""
