"""What depends on a column, and what a change of the catalog or the models changes. Pure: no warehouse is asked.

``graph.py`` holds what there is, ``build.py`` makes it of the catalog and dbt's files, ``downstream.py`` follows a column,
``difference.py`` compares two graphs, ``words.py`` writes both for people.
"""
