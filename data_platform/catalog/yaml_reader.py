"""Reads YAML text as plain values, with the line of every key and item. Knows nothing of the catalog.

Keys are always text as written (``on:`` is not true), a repeated key is a mistake,
and a message never repeats the file's content. Depth and size are bounded, so that
a few lines of nested aliases or brackets cannot exhaust memory or the stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is present

DEPTH_MAX = 50
VALUES_MAX = 200_000
"""With every alias expanded; 2,500 tables of 20 columns are about 100,000."""


@dataclass(frozen=True, slots=True)
class Document:
    """``data`` is the file's content, ``lines`` the line (from 1) of each key and list item,
    ``mistakes`` (line, path, message) of what could not be read. ``moved`` says of paths in ``data`` where they were
    written, if elsewhere."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[tuple[int, Path, str]] = field(default_factory=list)
    moved: Mapping[Path, Path] = field(default_factory=dict)

    def written(self, path: Path) -> Path:
        """Where in the file ``path`` was written."""
        for length in range(len(path), 0, -1) if self.moved else ():
            if path[:length] in self.moved:
                return (*self.moved[path[:length]], *path[length:])
        return path

    def line(self, path: Path) -> int:
        """The line of ``path``, or of its nearest parent in the file."""
        path = self.written(path)
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


def read_yaml(text: str) -> Document:
    """Never raises: parts that cannot be read are reported in ``mistakes`` and absent from ``data``."""
    return _read_plain(text) or _read_any(text)


def _read_plain(text: str) -> Document | None:
    """Reads a file without mistakes, aliases and other rare features in one pass over the parser's events;
    None for every other file. It stops at the first value beyond the bounds."""
    root: Any = None
    lines: dict[Path, int] = {}
    within: Any = None
    path: Path = ()
    key: str | None = None
    above: list[tuple[Any, Path]] = []
    values = documents = 0
    loader = None
    try:
        loader = _Loader(text)
        while loader.check_event():
            event = loader.get_event()
            kind = type(event)
            if kind in _ENDS:
                within, path = above.pop()
                continue
            if kind not in _BEGINNINGS:
                documents += kind is yaml.DocumentStartEvent
                if kind is yaml.AliasEvent or documents > 1:
                    return None
                continue
            values += 1
            if event.anchor or event.tag or values > VALUES_MAX:
                return None
            if type(within) is dict and key is None:
                if kind is not yaml.ScalarEvent or event.value in within or event.value == "<<":
                    return None
                key = event.value
                within[key] = None
                lines[(*path, key)] = _line(event)
                continue
            value = _scalar(loader, event) if kind is yaml.ScalarEvent else _BEGINNINGS[kind]()
            inner: Path
            if key is not None:
                inner = (*path, key)
                within[key], key = value, None
            elif above:
                inner = (*path, len(within))
                lines[inner] = _line(event)
                within.append(value)
            else:
                inner, root = (), value
            if kind is not yaml.ScalarEvent:
                above.append((within, path))
                if len(above) > DEPTH_MAX:
                    return None
                within, path = value, inner
    except (yaml.YAMLError, ValueError, OverflowError):
        return None
    finally:
        if loader is not None:
            loader.dispose()
    return Document(root, lines)


_BEGINNINGS: dict[type, Any] = {
    yaml.ScalarEvent: None,
    yaml.MappingStartEvent: dict,
    yaml.SequenceStartEvent: list,
}
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def _scalar(loader: Any, event: Any) -> Any:
    if event.implicit == (False, True):  # quoted
        return event.value
    tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
    if tag == "tag:yaml.org,2002:str":
        return event.value
    return loader.construct_object(
        yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark, event.style)
    )


def _read_any(text: str) -> Document:
    loader = None
    try:
        if (line := _too_deep(text)) is not None:
            return Document(
                None,
                mistakes=[(line, (), f"more than {DEPTH_MAX} nested levels; write it flatter")],
            )
        loader = _Loader(text)
        node = loader.get_single_node()
        document = Document(None)
        if node is None:
            return document
        if _values(node, {}) > VALUES_MAX:
            message = f"more than {VALUES_MAX:,} values, with every alias expanded; write fewer aliases"
            return Document(None, mistakes=[(_line(node), (), message)])
        data = _value(loader, node, (), document, ())
        return Document(data, document.lines, document.mistakes)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Document(None, mistakes=[(mark.line + 1 if mark else 1, (), _unreadable(error.problem))])
    except yaml.YAMLError as error:
        return Document(None, mistakes=[(1, (), _unreadable(getattr(error, "reason", None)))])
    finally:
        if loader is not None:
            loader.dispose()


def _unreadable(problem: str | None) -> str:
    return (
        f"the YAML cannot be read here ({problem or 'not valid'}). Check the indentation, and quote a text"
        " that begins with one of * & ! @ % [ { or holds `: ` or ` #`"
    )


def _too_deep(text: str) -> int | None:
    """The line where the nesting exceeds ``DEPTH_MAX``. It reads event by event, so any depth is safe."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            depth += 1
            if depth > DEPTH_MAX:
                return int(event.start_mark.line) + 1
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            depth -= 1
    return None


def _values(node: Any, counted: dict[int, int]) -> int:
    """The number of values in ``node`` with its aliases expanded; each node is visited once."""
    if id(node) in counted:
        return counted[id(node)]
    counted[id(node)] = 0  # an alias to its own parent is reported elsewhere
    children = node.value if isinstance(node, yaml.SequenceNode) else ()
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    counted[id(node)] = 1 + sum(_values(child, counted) for child in children)
    return counted[id(node)]


def _value(loader: Any, node: Any, path: Path, document: Document, above: tuple[int, ...]) -> Any:
    if id(node) in above:
        document.mistakes.append((_line(node), path, "the alias refers to a block that contains it"))
        return None
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, document, above)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            document.lines[(*path, index)] = _line(item)
            items.append(_value(loader, item, (*path, index), document, above))
        return items
    try:
        return loader.construct_object(node)
    except yaml.YAMLError:
        message = "YAML tags (!name) are not supported here; write the plain value"
    except (ValueError, OverflowError):
        message = "not a valid date or number; quote it if it is text"
    document.mistakes.append((_line(node), path, message))
    return None


def _mapping(
    loader: Any, node: Any, path: Path, document: Document, above: tuple[int, ...]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            document.mistakes.append((_line(key_node), path, "a key must be plain text"))
            continue
        key = key_node.value
        inner = (*path, key)
        if key_node.tag == "tag:yaml.org,2002:merge":
            document.mistakes.append(
                (_line(key_node), inner, "merge keys (<<) are not supported; repeat the keys")
            )
            continue
        if key in values:
            first = document.lines[inner]
            document.mistakes.append(
                (_line(key_node), inner, f"appears twice here, first on line {first}; keep one of the two")
            )
            continue
        document.lines[inner] = _line(key_node)
        values[key] = _value(loader, value_node, inner, document, above)
    return values


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
