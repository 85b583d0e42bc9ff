"""What another tool is given: nested YAML in which a key that ends in ``_env`` names an environment variable.

``{account: acme, token_env: ACME_TOKEN}`` is given as ``{account: acme, token: <the variable's value>}``, at any depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BeforeValidator

from data_platform.sources.environment import value_of
from data_platform.yaml_fields import VARIABLE, Frozen

ENV = "_env"
_CREDENTIAL = re.compile(
    r"(^|[-_.])(api[-_]?key|apikey|\w*token|\w*secret|password|passwd|passphrase|private[-_]?key|signature)$",
    re.IGNORECASE,
)
_NONE = re.compile(r"(page|next|continuation|cursor|sync)[-_]?token$", re.IGNORECASE)


def _read(value: Any) -> Any:
    """A text with a mapping in it is one: that is how a command line gives it."""
    return yaml.safe_load(value) if isinstance(value, str) and value.lstrip().startswith("{") else value


def _checked(values: Mapping[str, Any]) -> Mapping[str, Any]:
    for path, value in leaves(values):
        if path.endswith(ENV):
            if not isinstance(value, str) or not re.match(VARIABLE, value):
                raise ValueError(f"`{path}` must name an environment variable")
        elif isinstance(value, (str, int)) and _CREDENTIAL.search(path) and not _NONE.search(path):
            raise ValueError(
                f"`{path}` is a credential by its name, and none is kept in a file. Put its value into the environment, for"
                f" example in .env, and write the variable's name as `{path}{ENV}`; a secret that was in a file should be"
                " changed"
            )
    return values


Given = Annotated[Mapping[str, Any], BeforeValidator(_read), AfterValidator(_checked), Frozen]
"""A field of a connection."""


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value with the keys that lead to it, joined by dots."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(values, (list, tuple)):
        for n, value in enumerate(values):
            yield from leaves(value, f"{path}[{n}]")
    else:
        yield path, values


def variables(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Each key that names a variable, with ``prefix`` before its path, and the variable."""
    for path, value in leaves(values):
        if path.endswith(ENV):
            yield f"{prefix}.{path}", value


def resolved(values: Any, source: str, environ: Mapping[str, str]) -> Any:
    """``values`` with the values of the variables. ConfigurationError for a variable that is not set."""
    if isinstance(values, Mapping):
        return {
            key.removesuffix(ENV) if key.endswith(ENV) else key: value_of(source, value, environ)
            if key.endswith(ENV)
            else resolved(value, source, environ)
            for key, value in ((str(key), value) for key, value in values.items())
        }
    if isinstance(values, (list, tuple)):
        return [resolved(value, source, environ) for value in values]
    return values
