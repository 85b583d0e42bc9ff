"""Sources written for dlt, read through the platform's door."""
