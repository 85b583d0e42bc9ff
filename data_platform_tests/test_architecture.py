"""ARCHITECTURE.md is true: what it names is there, and its drawing of the layers is import-linter's contract."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
PLACES = ("", "data_platform/", "data_platform_tests/")
FILE = re.compile(r"[A-Za-z0-9_./-]+\.(?:py|sql|yaml|toml|md)|[a-z_/]+/")


def _rows() -> list[tuple[str, list[str]]]:
    """The cells of each row of a table, without the first."""
    lines = [line for line in TEXT.splitlines() if line.startswith("| ") and "---" not in line]
    return [(line, [cell.strip() for cell in line.strip("|").split("|")][1:]) for line in lines]


def _there(name: str, folders: list[Path]) -> Path | None:
    """The file or folder that ``name`` is, in the folder of one named before it, or from the top."""
    places = [
        *folders,
        *(ROOT / place for place in PLACES),
        ROOT / "data_platform/sync",
        ROOT / "data_platform/defs",
    ]
    return next((place / name for place in places if (place / name).exists()), None)


def test_what_its_tables_name_is_there() -> None:
    missing = []
    for line, cells in _rows():
        for cell in cells:
            folders: list[Path] = []
            for name in re.findall(r"`([^`]+)`", cell):
                path, _, test = name.partition("::")
                if not FILE.fullmatch(path):
                    continue
                found = _there(path, folders)
                if found is None:
                    missing.append(f"{name} in: {line[:80]}")
                    continue
                folders.insert(0, found.parent)
                if test and f"def {test.partition('[')[0]}" not in found.read_text():
                    missing.append(f"{name} in: {line[:80]}")
    assert not missing


def test_the_tests_that_it_names_alone_are_there() -> None:
    written = "\n".join(path.read_text() for path in (ROOT / "data_platform_tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", TEXT))
    assert named and not {name for name in named if f"def {name}(" not in written}


def test_what_its_listing_names_is_there() -> None:
    listing = TEXT.split("## Where things live")[1].split("```")[1]
    above: list[tuple[int, str]] = []
    missing = []
    for line in filter(str.strip, listing.splitlines()):
        indent = len(line) - len(line.lstrip())
        if indent > 6:
            continue  # a description that goes on
        names = re.match(r"\s*((?:[^\s,]+, )*[^\s,]+)", line)
        assert names is not None
        above = [(depth, folder) for depth, folder in above if depth < indent]
        base = "".join(folder for _, folder in above)
        for name in names[1].split(", "):
            if not list(ROOT.glob(f"{base}{name}")):
                missing.append(base + name)
        if names[1].endswith("/"):
            above.append((indent, names[1]))
    assert not missing


def test_its_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [c["layers"] for c in contracts if c["type"] == "layers"]
    drawn = TEXT.split("Imports run one way")[1].split("```")[1]
    drawn_layers = [set(re.findall(r"\w+", layer)) for layer in drawn.split("→")]
    held = [set(re.findall(r"data_platform\.(\w+)", layer)) for layer in layers]
    assert drawn_layers == held
