"""What an object's key may be, the same in every kind of store."""

from __future__ import annotations


def pieces(key: str) -> list[str]:
    """The names that ``key`` joins by ``/``. ValueError where it could lead out of the store or is
    one of the store's own, which start with a dot."""
    names = key.split("/")
    if any(not name or name.startswith(".") or "\\" in name or "\0" in name for name in names):
        raise ValueError(f"{key!r} is no object key: names joined by /, none empty or starting with a dot")
    return names


def visible(key: str) -> bool:
    """Whether ``key`` is an object of the store's users: neither the store's own nor a folder's marker."""
    return all(name and not name.startswith(".") for name in key.split("/"))
