"""Snowflake: its settings, what it spells in its own way, and a session that speaks to it."""
