"""What others send us: how a delivery is signed (``hook.py``, ``schemes.py``), where it waits (``delivery.py``), how it is read (``walk.py``).

A receiver writes deliveries into an *inbox*, one object for all that came within a few milliseconds. A source reads the objects
as a log, and lets go of them once every table that reads them has committed them.
"""
