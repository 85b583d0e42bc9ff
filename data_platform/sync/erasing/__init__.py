"""Takes a person out of all that the platform holds, step by step; each step may be done again.

``freeze.py`` finds the person's keys, ``book.py`` keeps the requests, ``landing.py`` rewrites landed parts, ``steps.py`` does all of it
in order, ``door.py`` keeps out what comes again, ``hanging.py`` takes out what hangs on it.
"""
