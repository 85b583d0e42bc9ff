"""How long rows are kept: the rule of a table, the day before which rows go, and what the log of it says. Pure."""
