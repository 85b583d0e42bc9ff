"""What a column holds of a person once it has landed: its class, which follows from its treatment. Pure.

    personal        a value in clear: `keep`, said of a column or of a value within its documents
    pseudonymous    a keyed hash: the key and an address together find the person again
    sealed          encrypted under a key of the person's own
    masked          what a mask leaves of a phone number

What is redacted has no class, for nothing of it is left; `not_personal` has none, for nothing was there. A value within JSON documents has a class of its own, by path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import get_args

from data_platform.privacy.documents import path_of
from data_platform.tables import Declared, PersonalClass

Class = PersonalClass
"""The strongest first: what is made of values of several classes is of the first of them."""
CLASSES: tuple[Class, ...] = get_args(Class)
NONE = "none"
"""What a model declares of a column that is made of classed values and holds nothing of a person."""
UNKNOWN = "unknown"
"""Of a column whose SQL cannot be followed, beside classed ones."""
META = "privacy"
"""The key of dbt's `meta` under which a column's class is."""

LEAVES: Mapping[str, Class | None] = {
    "keep": "personal",
    "hash": "pseudonymous",
    "seal": "sealed",
    "mask": "masked",
    "redact": None,
    "not_personal": None,
}
"""By what the catalog says of a value, the class of what lands."""

Path = tuple[str, ...]
Classed = Mapping[Path, Class]
"""The classes of a column's values: ``()`` is the whole value, a path one within its JSON documents."""


def class_of(treatment: Declared) -> Class | None:
    return LEAVES[treatment]


def joined(classes: Iterable[Class]) -> Class | None:
    """The class of what is made of all these."""
    return min(classes, key=CLASSES.index, default=None)


def classed_columns(personal: Mapping[str, Declared], columns: Collection[str]) -> dict[str, Classed]:
    """By column, what a table's block `personal` leaves in it. ``columns`` are the names that are known, so that a dot within
    one is no path."""
    found: dict[str, dict[Path, Class]] = {}
    for key, treatment in personal.items():
        left = class_of(treatment)
        if left is not None:
            column, *within = path_of(key, columns)
            found.setdefault(column, {})[tuple(within)] = left
    return dict(found)


def within(classed: Classed, keys: Path) -> dict[Path, Class]:
    """The classes of what lies under ``keys`` of a value; a part of a classed value is of its class."""
    found: dict[Path, Class] = {}
    for path, one in classed.items():
        shared = min(len(path), len(keys))
        if path[:shared] == keys[:shared]:
            rest = path[len(keys) :]
            found[rest] = joined([one, *([found[rest]] if rest in found else [])]) or one
    return found
