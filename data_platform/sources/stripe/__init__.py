"""Stripe: ``objects.py`` says what can be read, ``api.py`` asks, ``lists.py`` walks lists, ``events.py`` finds what changed."""
