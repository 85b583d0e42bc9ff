"""A data platform that a company clones and runs: see ARCHITECTURE.md for the map."""

__version__ = "0.1.0"
"""As in pyproject.toml; said again here, since asking the installed package for it takes longer than a commit."""
