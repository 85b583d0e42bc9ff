"""The keys of a table's ``endpoint``: the request, the place of the records, and how to ask only for what is new."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from data_platform.sources.rest.paginators import AnyPaginator, Path
from data_platform.yaml_fields import Frozen, FrozenDict, Model, OrText

PAGES_MAX = 100_000
PLACE = re.compile(r"\{(resources\.[^{}]+|incremental\.[^{}]+)\}")
"""What a request takes from elsewhere: ``{resources.posts.id}``, ``{incremental.start_value}``."""
_INCREMENTAL = ("start_value", "last_value", "initial_value", "end_value")


class Incremental(Model):
    """How only what changed is asked for: by the greatest value of a field that was read before."""

    cursor_path: Path = Field(description="Where a record holds the value that grows with every change.")
    initial_value: str | int | float | None = Field(
        default=None, description="The value that the first read begins with. Default: none is sent."
    )
    end_value: str | int | float | None = Field(
        default=None, description="The value that is sent as the end of what is asked for."
    )
    start_param: str | None = Field(
        default=None, description="The parameter that takes the value to begin with, such as `updated_since`."
    )
    end_param: str | None = Field(
        default=None,
        description="The parameter that takes the end. With it a day of `partition` can be read by itself.",
    )
    lag: float = Field(
        default=0,
        ge=0,
        description="How far before the greatest value the next read begins: seconds of a time, days of a date, else the"
        " number itself. A record that is read twice lands once.",
    )
    on_cursor_value_missing: Literal["raise", "include"] = Field(
        default="raise",
        description="A record without the value: `raise` stops the table, `include` lands the record.",
    )
    row_order: Literal["asc", "desc"] | None = Field(
        default=None, description="dlt's; taken without effect: every page is read."
    )
    last_value_func: Literal["max"] = Field(default="max", description="dlt's; only `max` is known here.")
    range_start: Literal["closed"] = Field(
        default="closed", description="dlt's; only `closed`: ties of the greatest value are read again."
    )


class ResponseAction(Model):
    """An answer that is no failure."""

    status_code: int | str | None = Field(
        default=None, description="The status that it is for: 404, or `4xx` for all of its hundred."
    )
    content: str | None = Field(default=None, description="A text that the answer must contain.")
    action: Literal["ignore"] = Field(description="`ignore`: the endpoint has no records here.")

    @model_validator(mode="after")
    def _says_when(self) -> ResponseAction:
        if self.status_code is None and self.content is None:
            raise ValueError("needs a `status_code`, a `content`, or both")
        if isinstance(self.status_code, str) and not re.fullmatch(r"[1-5](\d\d|[xX]{2})", self.status_code):
            raise ValueError("`status_code` must be a status such as 404, or 4xx")
        return self

    def statuses(self) -> frozenset[int]:
        """The failures that it takes for an answer."""
        text = str(self.status_code or "").lower()
        if text.endswith("xx"):
            return frozenset(range(int(text[0]) * 100, int(text[0]) * 100 + 100))
        return frozenset({int(text)} if text else ())


class Resolve(Model):
    """A parameter that takes its value from a record of another table's endpoint."""

    type: Literal["resolve"]
    resource: str
    field: Path


def _params(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    for name, one in value.items():
        if isinstance(one, Mapping) and one.get("type") not in ("resolve", "incremental"):
            raise ValueError(
                f"`{name}` is a block whose type is neither resolve nor incremental; quote it if JSON text is meant"
            )
        if isinstance(one, list) and any(isinstance(item, (Mapping, list)) for item in one):
            raise ValueError(f"`{name}` holds a list of blocks; quote it where JSON text is meant")
    return {
        name: Resolve.model_validate(one) if isinstance(one, Mapping) else one for name, one in value.items()
    }


def _one_incremental(value: Any) -> Any:
    """``params: {since: {type: incremental, ...}}`` is an incremental whose ``start_param`` is ``since``."""
    block: Any = {"path": value} if isinstance(value, str) else {} if value is None else value
    if not isinstance(block, Mapping):
        return block
    given = block.get("params")
    params: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    asked = [
        name for name, one in params.items() if isinstance(one, Mapping) and one.get("type") == "incremental"
    ]
    if not asked:
        return block
    if len(asked) > 1 or block.get("incremental") is not None:
        raise ValueError(f"has several incrementals, one of them in the parameter `{asked[0]}`; keep one")
    (name,) = asked
    inner = {key: one for key, one in params[name].items() if key != "type"}
    rest = {key: one for key, one in params.items() if key != name}
    return {**block, "params": rest, "incremental": {"start_param": name, **inner}}


def _path_of_endpoint(value: Any) -> Any:
    if isinstance(value, str):
        bare = re.sub(r"\{[^{}]*\}", "x", value)
        if ".." in bare.split("/") or "#" in bare or "?" in bare or "\\" in bare:
            raise ValueError("must be a path without `..`, `?` and `#`; write parameters under `params`")
        if "://" in bare or bare.startswith("//"):
            raise ValueError(
                "must be a path: the host is that of `base_url`, since the credentials are for it alone"
            )
    return value


class Endpoint(Model):
    path: Annotated[str | None, BeforeValidator(_path_of_endpoint)] = Field(
        default=None,
        description="The path behind `base_url`. Default: the table's name. `{resources.posts.id}` means the field"
        " `id` of each record of the table `posts`.",
    )
    method: Literal["GET", "POST"] = Field(
        default="GET", description="GET, or POST for an API that takes searches so."
    )
    params: Annotated[
        Mapping[str, Any],
        BeforeValidator(_params),
        Frozen,
        WithJsonSchema({"type": "object"}),
    ] = Field(
        default_factory=FrozenDict,
        description="The query's parameters. A list is sent as several; null is not sent. A block is `{type: resolve, resource:"
        " posts, field: id}` or `{type: incremental, cursor_path: updated_at}`.",
    )
    json_: Any = Field(default=None, alias="json", description="The JSON body of a POST.")
    headers: Annotated[Mapping[str, str], Frozen] = Field(
        default_factory=FrozenDict,
        description="Headers of this endpoint's requests. None of them is a secret.",
    )
    paginator: AnyPaginator | None = Field(
        default=None, description="How this endpoint gives pages. Default: the connection's."
    )
    data_selector: Path | None = Field(
        default=None,
        description="Where the answer holds the records, such as `data.items`. Default: the answer itself where it is a"
        " list, else its one list of objects, else the answer as one record.",
    )
    data_may_be_missing: bool = Field(
        default=False,
        description="An answer without what `data_selector` names is an empty page. By default it stops the table.",
    )
    incremental: Incremental | None = Field(default=None, description="How only what changed is asked for.")
    response_actions: tuple[ResponseAction, ...] = Field(
        default=(), description="Answers that are no failure, as in dlt."
    )
    pages_max: int = Field(
        default=PAGES_MAX,
        ge=1,
        description="A read of more pages (of one parent) is taken for one that never ends, and stops.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Endpoint:
        if self.json_ is not None and self.method != "POST":
            raise ValueError("has a `json` body, which only a POST sends; write method: POST")
        used = {
            place.removeprefix("incremental.") for place in self.places() if place.startswith("incremental.")
        }
        if unknown := used.difference(_INCREMENTAL):
            raise ValueError(
                f"names {{incremental.{min(unknown)}}}; known are {', '.join(f'incremental.{name}' for name in _INCREMENTAL)}"
            )
        if used and self.incremental is None:
            raise ValueError(
                f"names {{incremental.{min(used)}}} and has no `incremental`; give its cursor_path"
            )
        if self.incremental and not (self.incremental.start_param or used.intersection(_INCREMENTAL[:2])):
            raise ValueError(
                "has an `incremental` whose value no request takes; name its `start_param`, or write"
                " {incremental.start_value} into the params"
            )
        for name, given in (
            ("start_value", "initial_value"),
            ("last_value", "initial_value"),
            ("end_value", "end_value"),
        ):
            if f"incremental.{name}" in self._embedded() and getattr(self.incremental, given) is None:
                raise ValueError(
                    f"names {{incremental.{name}}} within a text or a body, where it cannot be left out; give the"
                    f" incremental's `{given}`"
                )
        left = re.sub(PLACE, "", self.path or "")
        names = re.findall(r"\{([^{}]*)\}", left)
        for name in names:
            if not isinstance(self.params.get(name), Resolve):
                raise ValueError(
                    f"path names {{{name}}}; write {{resources.<table>.<field>}}, or a parameter `{name}` of the type resolve"
                )
        if "{" in re.sub(r"\{[^{}]*\}", "", left) or "}" in re.sub(r"\{[^{}]*\}", "", left):
            raise ValueError("path has a brace that is not closed")
        if len(parents := {resource for resource, _ in self.taken()}) > 1:
            raise ValueError(
                f"takes values from {', '.join(sorted(parents))}; one parent is read for a table"
            )
        return self

    def places(self) -> Iterator[str]:
        """The names in braces, wherever a value is put in."""
        yield from PLACE.findall(self.path or "")
        for value in (*self.params.values(), self.json_, *self.headers.values()):
            yield from _places(value)

    def _embedded(self) -> set[str]:
        """The places that are no whole parameter: a request without a value for one would be another request."""
        alone = [v for v in self.params.values() if isinstance(v, str) and PLACE.fullmatch(v)]
        found = list(self.places())
        for value in alone:
            found.remove(PLACE.findall(value)[0])
        return set(found)

    def taken(self) -> Iterator[tuple[str, str]]:
        """The (resource, field) of every value that comes from a parent's record."""
        for place in self.places():
            if place.startswith("resources."):
                _, resource, *fields = place.split(".")
                yield resource, ".".join(fields)
        for value in self.params.values():
            if isinstance(value, Resolve):
                yield value.resource, value.field.written

    @property
    def parent(self) -> str | None:
        """The table from whose records values are taken."""
        return next((resource for resource, _ in self.taken()), None)


def _places(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from PLACE.findall(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _places(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _places(inner)


AnyEndpoint = Annotated[Endpoint, BeforeValidator(_one_incremental), OrText()]
