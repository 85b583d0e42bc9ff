"""Rows that are older than their table's rule leave, by the machinery of erasure: which are beyond it (``limits.py``), the log
(``book.py``), the steps (``apply.py``) and what the graph watches (``watch.py``)."""
