"""Signed webhooks of any sender: ``event.py`` knows what a delivery says, ``feed.py`` reads the inbox."""
