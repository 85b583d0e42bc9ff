"""Takes webhooks: what is signed is written durably into the inbox of its source before it is answered with 2xx.

``inflow.py`` gathers what comes within a few milliseconds into one object, ``app.py`` speaks HTTP, ``server.py`` runs it.
"""
