"""What becomes of personal data, decided before anything is written outside the source.

``names.py`` recognises columns, ``treatments.py`` says what happens to their
values. Nothing here connects or runs SQL.
"""
