"""A toy kind of source, which the tests register by one line: a folder of logs, read by their offsets."""
