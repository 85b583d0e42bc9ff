"""Second copies of the warehouse: their format (``manifest.py``), making them (``export.py``), keeping
them (``archive.py``, ``retention.py``) and proving that they can be restored (``restore.py``)."""
