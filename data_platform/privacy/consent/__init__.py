"""Who agreed to what: purposes, where answers come from, and the mart that holds the newest answer of each person. Pure."""
