"""The YAML of a REST source's file, a table's block each. Text only; a comment marks each guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_platform.printable import printable_line, yaml_scalar
from data_platform.sources.looking import Privacy

_KEYS = ("id", "uuid", "guid", "key", "gid", "_id", "sid", "code", "number", "slug")
_CURSORS = (
    "updated_at",
    "updatedAt",
    "updated",
    "modified_at",
    "modified",
    "last_modified",
    "lastModified",
    "updated_on",
)


@dataclass
class Found:
    """An endpoint. ``types`` are the words of its fields' types, "" where the values show it; ``leaves`` the paths of
    all single values. ``keys`` are fields that are never null, and unique as far as was seen."""

    name: str
    path: str
    types: Mapping[str, str]
    leaves: Sequence[str]
    keys: Sequence[str]
    selector: str | None = None
    paginator: Mapping[str, Any] | None = None
    start_params: Sequence[str] = ()
    children: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    notes: Sequence[str] = ()


def block(found: Found, privacy: Privacy) -> list[str]:
    """The lines of a table."""
    lines = [f"  {found.name}:"]
    if found.description:
        lines.append(f"    description: {yaml_scalar(' '.join(found.description.split())[:300])}")
    lines += [f"    # {printable_line(note)}" for note in found.notes]
    key = key_of(found)
    if key:
        lines.append(f"    key: {yaml_scalar(key)}  # guess: unique in what was seen")
    else:
        lines.append(
            "    strategy: replace  # guess: no field identifies a record; it is read whole each time"
        )
    lines += _endpoint(found)
    times = {name: word for name, word in found.types.items() if word}
    if times:
        lines.append("    types:")
        lines += [f"      {yaml_scalar(name)}: {word}" for name, word in times.items()]
    lines += _personal(found, privacy, key)
    for path, name in found.children.items():
        lines += [f"  # {name}:", f"  #   of: {found.name}", f"  #   path: {yaml_scalar(path)}"]
    return lines


def _endpoint(found: Found) -> list[str]:
    inner = []
    if found.path != found.name:
        inner.append(f"      path: {yaml_scalar(found.path)}")
    if found.selector:
        inner.append(f"      data_selector: {yaml_scalar(found.selector)}")
    if found.paginator:
        shown = ", ".join(f"{key}: {_value(value)}" for key, value in found.paginator.items())
        inner.append(f"      paginator: {{{shown}}}  # guess")
    cursor = next((name for name in _CURSORS if name in found.types), None)
    if cursor:
        param = found.start_params[0] if found.start_params else "the parameter that takes it"
        inner.append(
            f"      # incremental: {{cursor_path: {yaml_scalar(cursor)}, start_param: {printable_line(param)}}}  # only what changed"
        )
    return (
        ["    endpoint:", *inner]
        if any(not line.strip().startswith("#") for line in inner)
        else [line[2:] for line in inner]
    )


def _personal(found: Found, privacy: Privacy, key: str | None) -> list[str]:
    lines = []
    for path in found.leaves:
        leaf = path.rpartition(".")[2]
        reason = privacy.by_name(leaf, found.name)
        if reason:
            treatment = privacy.treatment(leaf, reason, path == key)
            lines.append(f"      {yaml_scalar(path)}: {treatment}?  # {printable_line(reason)}")
    if not lines:
        return []
    return [
        "    personal:  # take the question mark away once you have decided; `keep` lands it as it is",
        *lines,
    ]


def key_of(found: Found) -> str | None:
    singular = found.name.removesuffix("s")
    for name in (*_KEYS, f"{singular}_id", f"{singular}Id"):
        if name in found.keys:
            return name
    return None


def _value(value: Any) -> str:
    return (
        yaml_scalar(value)
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
