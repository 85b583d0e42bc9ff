"""Backups of a source's whole database server: base backups (``native.py``, ``logical.py``), their catalog in the
stores (``repository.py``), the WAL between them (``wal/``) and the way back to any second (``recover.py``)."""
