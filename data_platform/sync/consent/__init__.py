"""Who agreed to what: answers in tables and those that were written by hand (``book.py``), of one person (``read.py``), and as rows of the
warehouse (``table.py``)."""
