"""Files as a source: what they hold lands with the file's path and the row's number beside it.

``places/`` lists folders, ``known.py`` tells which of their files are new, changed or gone, ``csv.py`` and its like
say how one is read, ``step.py`` makes the parts of some files, and ``reading.py`` is the ``Reading`` over it.
"""
