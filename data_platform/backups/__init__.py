"""Second copies of the warehouse: what one is (``manifest.py``), making one (``export.py``), keeping
them (``archive.py``, ``retention.py``) and proving that they come back (``restore.py``)."""
