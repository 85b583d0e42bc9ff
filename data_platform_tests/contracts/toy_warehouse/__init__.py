"""A second warehouse, on SQLite, as small as one can be: it proves what a new kind takes, a folder and a line."""
