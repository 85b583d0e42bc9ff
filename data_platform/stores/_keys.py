"""Valid object keys, the same in every kind of store."""

from __future__ import annotations


def pieces(key: str) -> list[str]:
    """The names in ``key``, which are separated by ``/``. ValueError if it could lead out of the store or is
    one of the store's own keys, which start with a dot."""
    names = key.split("/")
    if any(not name or name.startswith(".") or "\\" in name or "\0" in name for name in names):
        raise ValueError(
            f"{key!r} is not an object key: names separated by /, none of them empty or starting with a dot"
        )
    return names


def visible(key: str) -> bool:
    """Whether ``key`` belongs to a user of the store. Neither the store's own objects nor folder markers do."""
    return all(name and not name.startswith(".") for name in key.split("/"))
