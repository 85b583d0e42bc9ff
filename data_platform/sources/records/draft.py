"""The blocks of a first draft, for kinds whose tables and fields another tool knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from data_platform.printable import printable_line, yaml_scalar
from data_platform.sources.looking import Privacy

CONFIRM = (
    "    personal:  # take each question mark away once you have decided; `keep` lands the value as it is"
)
_DEPTH = 5


def head(source: str, kind: str, connection: Mapping[str, Any], said: Sequence[str]) -> list[str]:
    """The lines before the tables. ``said`` is a comment, a line each."""
    written = yaml.safe_dump({"connection": dict(connection)}, sort_keys=False, allow_unicode=True, width=110)
    return [
        "# yaml-language-server: $schema=../schema/source.schema.json",
        *(f"# {line}" for line in said),
        f"source: {source}",
        f"kind: {kind}",
        *written.splitlines(),
        "tables:",
    ]


def block(
    name: str, own: Iterable[tuple[str, str]], key: Sequence[str], paths: Iterable[str], privacy: Privacy
) -> list[str]:
    """A table's block. ``own`` are keys of the kind with their values as YAML, ``paths`` those of single values."""
    lines = [f"  {name}:", *(f"    {word}: {value}" for word, value in own)]
    if key:
        lines.append(
            f"    key: {yaml_scalar(key[0]) if len(key) == 1 else '[' + ', '.join(map(yaml_scalar, key)) + ']'}"
        )
    else:
        lines.append(
            "    strategy: replace  # no key is known: name the columns that identify a row as `key`, if there are any"
        )
    personal = []
    for path in dict.fromkeys(paths):
        last = path.rpartition(".")[2]
        if reason := privacy.by_name(last, name):
            treatment = privacy.treatment(last, reason, path in key)
            personal.append(f"      {yaml_scalar(path)}: {treatment}?  # {printable_line(reason)}")
    return [*lines, *([CONFIRM, *personal] if personal else [])]


def leaves(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """The paths of the single values of a record, arrays passed through."""
    for name, inner in value.items():
        if not isinstance(name, str) or "." in name or '"' in name:
            continue
        for one in (inner or [None]) if isinstance(inner, list) else (inner,):
            if isinstance(one, Mapping) and depth < _DEPTH:
                yield from leaves(one, f"{prefix}{name}.", depth + 1)
            else:
                yield prefix + name
