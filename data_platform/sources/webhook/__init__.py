"""Signed webhooks of any sender: ``schemes.py`` knows the usual signatures, ``event.py`` what a delivery says, ``feed.py`` reads the inbox."""
