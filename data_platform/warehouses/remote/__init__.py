"""What warehouses behind a connection share: an engine brings a ``Session`` and a ``Grammar`` (``engine.py``)."""
