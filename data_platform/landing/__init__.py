"""Landed batches: what one is (``manifest.py``) and the chain of them (``ledger.py``)."""
