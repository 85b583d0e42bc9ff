"""What depends and what changed, for people: lines for a terminal, Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from data_platform.column_lineage import ColumnOf
from data_platform.impact.difference import Changes, Difference
from data_platform.impact.downstream import Impact
from data_platform.printable import printable

LISTED_MAX = 100
"""A comment on a pull request has 65,536 characters at most; what is beyond is counted."""

Section = tuple[str, Sequence[str]]


def label(column: ColumnOf) -> str:
    return printable(f"{column.schema}.{column.table}.{column.column}")


def impact_sections(found: Impact) -> list[Section]:
    """Headings with their lines; only those that have some."""
    kinds: dict[str, list[str]] = {}
    for dependent, how in found.dependents:
        note = {"rows": " (by its rows)", "perhaps": " (perhaps)"}.get(how, "")
        kinds.setdefault(dependent.kind, []).append(printable(dependent.name) + note)
    sections = [
        ("Columns whose values depend on it", [f"{label(c)} <- {', '.join(map(label, t))}" for c, t in found.values.items()]),
        ("Models whose rows it chooses", [f"{s}.{n} <- {', '.join(map(printable, why))}" for (s, n), why in found.rows.items()]),
        ("Models whose SQL cannot be followed", [f"{schema}.{name}" for schema, name in found.unclear]),
        ("Checks", kinds.get("check", [])),
        ("dbt tests", kinds.get("dbt test", [])),
        ("Exports", kinds.get("export", [])),
        ("Dashboards", kinds.get("dashboard", [])),
    ]  # fmt: skip
    return [(heading, lines) for heading, lines in sections if lines]


def impact_fields(found: Impact) -> dict[str, Any]:
    """For JSON."""
    return {
        "of": [label(column) for column in found.start],
        "columns": {label(column): [label(one) for one in through] for column, through in found.values.items()},
        "rows": {f"{schema}.{name}": list(why) for (schema, name), why in found.rows.items()},
        "unclear": [f"{schema}.{name}" for schema, name in found.unclear],
        "dependents": [
            {"kind": dependent.kind, "name": dependent.name, "by": how} for dependent, how in found.dependents
        ],
    }  # fmt: skip


def difference_sections(found: Difference) -> list[Section]:
    sections: list[Section] = []
    for heading, changes in (
        ("Assets", found.assets),
        ("Columns", found.columns),
        ("Checks", found.checks),
        ("Exports", found.exports),
        ("Dashboards", found.dashboards),
    ):
        if changes:
            sections.append((heading, list(_lines(changes))))
    if found.impact is not None:
        about = "Depends on what was removed or changed: "
        sections += [
            (about + heading[0].lower() + heading[1:], lines)
            for heading, lines in impact_sections(found.impact)
        ]
    return sections


def difference_fields(found: Difference) -> dict[str, Any]:
    """For JSON."""
    names = ("assets", "columns", "checks", "exports", "dashboards")
    return {name: asdict(getattr(found, name)) for name in names} | {
        "impact": impact_fields(found.impact) if found.impact is not None else None
    }


def markdown(title: str, sections: Sequence[Section]) -> str:
    """A comment: the headings with their counts, each one's lines folded in."""
    if not sections:
        return f"**{title}**\n\nNothing changes in assets, columns, checks, exports or dashboards."
    parts = [f"**{title}**"]
    for heading, lines in sections:
        shown = [f"- {_code(line)}" for line in lines[:LISTED_MAX]]
        if len(lines) > LISTED_MAX:
            shown.append(f"- and {len(lines) - LISTED_MAX:,} more")
        parts.append(f"<details><summary>{heading}: {len(lines):,}</summary>\n\n" + "\n".join(shown) + "\n\n</details>")  # fmt: skip
    return "\n\n".join(parts)


def _lines(changes: Changes) -> Iterator[str]:
    for sign, names in (("+", changes.added), ("-", changes.removed), ("~", changes.changed)):
        for name in names:
            yield f"{sign} {printable(name)}"


def _code(line: str) -> str:
    return "`" + line.replace("`", "'") + "`"
