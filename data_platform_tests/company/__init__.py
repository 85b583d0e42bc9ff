"""A simulated company whose people ask to be erased while everything else goes on: see docs/testing.md."""
