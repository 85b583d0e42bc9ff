"""Append-only logs in a store: signed blocks of JSON entries, each with the digest of the one before.

``log.py`` appends and reads, ``verify.py`` names what was changed afterwards, ``heads.py`` signs how far a log reaches
and keeps that in other stores. What an entry means is the caller's.
"""
