"""A data platform that a company clones and runs: see ARCHITECTURE.md for the map."""
