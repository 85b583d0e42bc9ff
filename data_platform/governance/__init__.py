"""What the platform knows of personal data, and who can read it.

``classes.py`` carries what the catalog declares along the columns (pure), ``columns.py`` writes it into the warehouse,
``scan.py`` looks for personal data that nobody declared, ``report.py`` writes the record of processing.
"""
