"""Syncs that are killed, cut off and starved at any point, and what they leave: nothing to repair."""
