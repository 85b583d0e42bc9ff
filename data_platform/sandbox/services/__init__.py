"""The services of the company beside its PostgreSQL: local servers that stand in for other companies' APIs.

They are fed by the shop's own rows, so that all of them tell of one business. One process serves
them all, each on a port of its own on loopback (``serve.py``); ``process.py`` starts and stops it. A
service is a module or folder here and a line in ``registry.py``.
"""
