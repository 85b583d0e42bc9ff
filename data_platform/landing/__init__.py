"""Landed batches: what one is (``manifest.py``), the chain of them read (``chain.py``) and added to (``ledger.py``)."""
