"""A toy kind of source that gives records: files of JSON lines, read page by page through a feed."""
