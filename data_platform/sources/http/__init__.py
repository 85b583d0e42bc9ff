"""HTTP, once, for every kind of source that asks an API: ``client.py`` sends, ``waiting.py`` says when to send again and
how to wait, ``auth.py`` adds credentials, ``words.py`` makes errors that hold no value of a query, header or body."""
