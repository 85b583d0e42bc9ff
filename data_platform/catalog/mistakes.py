"""Describes a mistake: file, line, path, what to do. pydantic's errors are translated to this form.

A message never holds the wrong value, which may be a secret in the wrong place. It holds
names of keys and the values that would be valid.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from data_platform.catalog.fields import NAME
from data_platform.catalog.yaml_reader import Document, Path

M = TypeVar("M", bound=BaseModel)

_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_WEBHOOK_URL = re.compile(r"https://hooks\.slack\.com/services/\S+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_KEYS = {"url", "uri", "dsn", "password", "user", "username", "host", "port", "database", "dbname"}
_TYPES = {
    "string": "text (quote it: YAML reads it as something else)",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": "a block of `key: value` lines",
    "mapping": "a block of `key: value` lines",
    "model": "a block of `key: value` lines",
    "tuple": "a list",
    "list": "a list",
    "date": "a date such as 2024-01-31",
    "path": "a path",
}


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        path = f" {self.path}:" if self.path else ""
        return f"{self.file}:{self.line}:{path} {self.message}"


@dataclass(slots=True)
class Report:
    """Collects the mistakes of one file, at most one for each path: the first. ``questions`` are not mistakes;
    somebody has to answer them once."""

    file: str
    document: Document
    mistakes: dict[Path, Mistake] = field(default_factory=dict)
    questions: list[Mistake] = field(default_factory=list)
    _wrong: set[Path] = field(default_factory=set)
    """The paths of the mistakes, and all around them."""
    _told: set[Path] = field(default_factory=set)
    """Where the mistakes were written."""

    def add(self, path: Path, message: str, line: int | None = None) -> None:
        at = self.document.line(path) if line is None else line
        written = self.document.written(path)
        if path == written or written not in self._told:  # what stands once may be read in several places
            self.mistakes.setdefault(path, Mistake(self.file, at, path_text(written), message))
        self._told.add(written)
        self._wrong.update(path[:length] for length in range(len(path) + 1))

    def ask(self, path: Path, question: str) -> None:
        where = path_text(self.document.written(path))
        self.questions.append(Mistake(self.file, self.document.line(path), where, question))

    def has(self, path: Path) -> bool:
        """Whether there already is a mistake at ``path`` or below it."""
        return path in self._wrong


def path_text(path: Path) -> str:
    """``("tables", "orders", "rules", 0)`` -> ``tables.orders.rules[0]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean `{near[0]}`?" if near else ""


def find_secrets(report: Report, value: Any, path: Path = ()) -> None:
    """Report secrets where only names of environment variables belong."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            find_secrets(report, inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            find_secrets(report, inner, (*path, index))
    elif isinstance(value, str):
        name = str(path[-1]) if path else ""
        if name.endswith("_env") and not _VARIABLE.fullmatch(value):
            what = "a URL or another secret" if "://" in value or "@" in value else "something else"
            report.add(
                path,
                f"must be the name of an environment variable (letters, digits, underscores), but holds {what}."
                " Put the value into the environment, for example in .env, and the variable's name here"
                + ("; a secret that was in a file should be changed" if "secret" in what else ""),
            )
        elif "://" in value and (_PASSWORD_IN_URL.search(value) or _WEBHOOK_URL.search(value)):
            report.add(
                path,
                "holds a URL with a secret in it. Put it into an environment variable and name that with a"
                " key that ends in `_env`; a secret that was in a file should be changed",
            )


def validated(
    model: type[M], data: Any, schema: Callable[[], Mapping[str, Any]], report: Report, base: Path = ()
) -> M | None:
    """Validate ``data`` as ``model``; every error goes to ``report``.

    Wrong parts are removed and the rest is validated again, so that checks across
    fields still see the right parts. None if the rest is not sufficient. ``schema``
    is the model's JSON Schema, built only if there is an error.
    """
    rest = data
    for attempt in range(4):  # a removed part may leave its parent incomplete, and so on
        try:
            return model.model_validate(rest)
        except ValidationError as error:
            rest = copy.deepcopy(data) if attempt == 0 else rest
            wrong: list[Path] = []
            for details in error.errors(include_url=False, include_input=False):
                path = _place(details["loc"], rest)
                if details["type"].startswith("union_tag"):  # the block's kind is what is wrong
                    path = (*path, details["ctx"]["discriminator"].strip("'"))
                if attempt == 0:
                    report.add((*base, *path), _words(details, path, rest, schema()))
                wrong.append(path[:-1] if details["type"] in _MISSING else path)
            if () in wrong:
                return None
            _leave_out(rest, wrong)
    return None


def _words(details: Any, path: Path, data: Any, schema: Mapping[str, Any]) -> str:
    from data_platform.catalog.schema import node_at

    kind, context = details["type"], details.get("ctx", {})
    node = node_at(schema, path, data)
    if kind == "extra_forbidden":
        known = list(node_at(schema, path[:-1], data).get("properties", {}))
        name = str(path[-1])
        if name in _SECRET_KEYS and "url_env" in known:
            return (
                "unknown key. Connections are secrets: put the whole URL into an environment variable and"
                " write its name under `url_env`"
            )
        return f"unknown key.{did_you_mean(name, known)} Known here: {', '.join(known)}"
    choices = re.findall(r"'([^']*)'", str(context.get("expected") or context.get("expected_tags", "")))
    if kind in _MISSING:
        return f"is missing. {node.get('description', 'It is required')}"
    if kind in ("literal_error", "union_tag_invalid"):
        return f"must be one of {', '.join(choices)}.{did_you_mean(str(_at(data, path)), choices)}"
    if kind == "value_error":
        return str(context.get("error", details["msg"])).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return _pattern_words(path, node, is_key="[key]" in details["loc"])
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        (word, limit), *_ = context.items()
        return f"must be {_BOUNDS[word]} {limit:g}" if isinstance(limit, (int, float)) else details["msg"]
    if kind == "too_short":
        return "is empty; it needs at least one entry"
    if kind in ("string_too_long", "string_too_short"):
        return "is too long" if kind == "string_too_long" else "is empty"
    for prefix, words in _TYPES.items():
        if kind.startswith(prefix):
            return f"must be {words}"
    return str(details["msg"])


_MISSING = ("missing", "union_tag_not_found")
_BOUNDS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


def _pattern_words(path: Path, node: Mapping[str, Any], is_key: bool) -> str:
    name = str(path[-1]) if path else ""
    if is_key or node.get("pattern") == NAME:
        return (
            "must be lower-case letters, digits and single underscores, and start with a letter: it becomes part"
            " of other names"
        )
    if name.endswith("_env"):
        return "must be the name of an environment variable: letters, digits and underscores"
    if name == "owner":
        return "must be an email address, or `team:` and a team's name (team:data)"
    if name.endswith("url"):
        return "must be a URL, such as http://127.0.0.1:3000"
    return f"is not of the right form. {node.get('description', '')}".rstrip()


def _place(loc: tuple[str | int, ...], data: Any) -> Path:
    """pydantic's location without steps that are not in the file: tags of unions, and
    ``[key]`` after a mapping's key."""
    path: list[str | int] = []
    current = data
    for position, step in enumerate(loc):
        last = position == len(loc) - 1
        if step == "[key]":
            continue
        if isinstance(current, Mapping):
            if (
                not last
                and step == current.get("type")
                and not isinstance(current.get(step), (Mapping, list))
            ):
                continue
            if step in current:
                current = current[step]
            elif not last or step == current.get("kind"):
                continue
            path.append(step)
        elif isinstance(current, list) and isinstance(step, int) and step < len(current):
            current = current[step]
            path.append(step)
    return tuple(path)


def _at(data: Any, path: Path) -> Any:
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _leave_out(data: Any, paths: list[Path]) -> None:
    """Remove ``paths`` from ``data``, in lists from the end, so that earlier positions stay valid."""
    for path in sorted(
        set(paths), key=lambda p: (len(p), [(isinstance(s, int), str(s).zfill(9)) for s in p]), reverse=True
    ):
        parent = _at(data, path[:-1])
        step = path[-1]
        if isinstance(parent, dict):
            parent.pop(step, None)
        elif isinstance(parent, list) and isinstance(step, int) and step < len(parent):
            del parent[step]
