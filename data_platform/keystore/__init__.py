"""The keys of people: one for each subject, apart from every other store, each wrapped under a key that a master wraps.

``keys.py`` is what the rest of the platform uses, ``kinds.py`` names each kind of keystore (a line a kind), ``masters/`` what
wraps. Nothing here knows a source, a warehouse or the landing store.
"""

from data_platform.keystore.keys import Keystore, Status

__all__ = ["Keystore", "Status"]
