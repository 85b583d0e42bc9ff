"""How every kind of source writes its parts."""

PARQUET = (
    "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 4096,"
    " ROW_GROUP_SIZE_BYTES '48MB'"
)
"""Level 1 and a dictionary that gives up early (by default it hashes a fifth of a row group of
unique values first) take a fifth of the reader's CPU time away and add 7% to the file."""
