"""Somebody is taken out of all data: which rows go (``frozen.py``), and what is remembered of it (``requests.py``). Pure."""
