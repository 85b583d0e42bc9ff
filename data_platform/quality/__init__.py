"""Is the data right? Rules of one line each, and the proof that nothing is missing.

What a rule means is ``rules.py``; nothing here connects to a source or knows Dagster.
"""
