"""PostgreSQL, 13 to 18, and its replicas: ``kind.py`` says what it is, ``reading.py`` and ``looking.py`` join the rest."""
