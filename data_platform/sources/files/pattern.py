"""Which paths are a table's, and the day that a path names. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date

_PARTS = {
    "{date}": r"(?P<date>\d{4}-\d{2}-\d{2})",
    "{yyyy}": r"(?P<yyyy>\d{4})",
    "{mm}": r"(?P<mm>\d{2})",
    "{dd}": r"(?P<dd>\d{2})",
    "**/": r"(?:[^/]+/)*",
    "*": r"[^/]*",
    "?": r"[^/]",
}
_TOKENS = re.compile(r"\{[^}]*\}|\*\*/|\*|\?")


@dataclass(frozen=True)
class Pattern:
    """``orders/{date}/*.csv``: a path relative to the source's folder, with ``/`` between folders. ValueError where it
    is none."""

    text: str
    dated: bool = field(init=False)
    """Whether a path names a day."""
    folder: str = field(init=False)
    """The folder below which all files lie, with ``/`` at its end; empty for the whole place."""
    depth: int | None = field(init=False)
    """How many folders below ``folder`` the files lie; None: any number."""
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = self.text
        if (
            not text
            or text.startswith("/")
            or "\\" in text
            or any(p in ("", ".", "..") for p in text.split("/"))
        ):
            raise ValueError(
                f"{text!r} is no pattern of files: write a path below the source's folder, such as orders/*.csv"
            )
        made, named, at = "", [], 0
        for token in _TOKENS.finditer(text):
            word = token[0]
            if word not in _PARTS:
                raise ValueError(
                    f"{word} is nothing that a pattern knows: write {{date}}, or {{yyyy}}, {{mm}} and {{dd}}"
                )
            if word in named:
                raise ValueError(f"{word} stands twice in {text!r}; write * in one of the places")
            named += [word] if word.startswith("{") else []
            made += re.escape(text[at : token.start()]) + _PARTS[word]
            at = token.end()
        if named and sorted(named) not in (["{date}"], ["{dd}", "{mm}", "{yyyy}"]):
            raise ValueError(f"{text!r} names no whole day: write {{date}}, or {{yyyy}}, {{mm}} and {{dd}}")
        first = _TOKENS.search(text)
        fixed = text[: first.start()] if first else text
        object.__setattr__(self, "dated", bool(named))
        object.__setattr__(self, "folder", fixed[: fixed.rfind("/") + 1])
        depth = None if "**" in text else text[fixed.rfind("/") + 1 :].count("/")
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "_regex", re.compile(made + re.escape(text[at:])))

    def matches(self, path: str) -> bool:
        found = self._regex.fullmatch(path)
        return found is not None and (not self.dated or _day(found) is not None)

    def day(self, path: str) -> date | None:
        """The day that a path which ``matches`` names."""
        found = self._regex.fullmatch(path)
        return _day(found) if found and self.dated else None


def _day(found: re.Match[str]) -> date | None:
    groups = found.groupdict()
    text = groups.get("date") or "{yyyy}-{mm}-{dd}".format(**groups)
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
