"""The catalog: what is read, every mistake at once, what is published and documented."""
