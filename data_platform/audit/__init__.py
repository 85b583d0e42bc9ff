"""Who did what, to which data, for which purpose: ``event.py`` says what an event may hold, ``trail.py`` records and finds
events in a chained log."""
