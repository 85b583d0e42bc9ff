"""Rows that are older than their table's rule leave, by the machinery of erasure: which are beyond it (``limits.py``), the log
(``book.py``), and what is done, step by step (``apply.py``)."""
