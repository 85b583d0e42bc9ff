"""Sources written for dlt: it extracts, the platform lands."""
