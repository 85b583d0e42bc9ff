"""Records into tables: what every kind of source that gives documents shares.

A kind writes a ``Feed`` (``feed.py``), which walks the pages of an API, a log or an inbox. From there on it is the same for
all: ``fetch.py`` walks a feed's streams and ends a step now and then, ``decode.py`` makes columns of records and finds
what is in them, ``select.py`` makes the typed rows that land, ``reading.py`` is the ``Reading`` over all of it.
"""
