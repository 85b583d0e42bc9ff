"""Masking of personal data, before anything is written outside the source.

``names.py`` recognises columns, ``treatments.py`` masks their values. Nothing here
connects or runs SQL.
"""
