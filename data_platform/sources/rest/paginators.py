"""The keys of ``paginator``: dlt's names, each with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from data_platform.sources.rest.json_path import Step, steps_of
from data_platform.yaml_fields import Model, OrText


class JsonPath(tuple[Step, ...]):
    """The steps of a path, which knows how it was written."""

    written: str

    @classmethod
    def of(cls, text: str) -> JsonPath:
        path = cls(steps_of(text))
        path.written = text
        return path


def _json_path(value: Any) -> Any:
    if isinstance(value, JsonPath):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a path, such as data.items")
    return JsonPath.of(value)


Path = Annotated[
    Any,
    BeforeValidator(_json_path),
    PlainSerializer(lambda path: getattr(path, "written", path)),
    WithJsonSchema({"type": "string"}),
]
"""A JSONPath of names, ``[*]`` and ``[0]``."""

_TYPE = (
    "`json_link`, `header_link`, `header_cursor`, `cursor`, `offset`, `page_number`, `single_page`, or `auto`, which"
    " looks at the first answer."
)
_STOP = "Whether a page without records is the last one."
_MORE = "Where the answer says whether there are more pages (`has_more`)."
_TOTAL = "Where the answer says how many {} exist. Default: `total`, where it is there; null: nowhere."
_BODY = "the place in the JSON body of the request that takes it, instead of a parameter."


class SinglePage(Model):
    type: Literal["single_page"] = Field(description=_TYPE)


class Auto(Model):
    type: Literal["auto"] = Field(description=_TYPE)


class JsonLink(Model):
    type: Literal["json_link"] = Field(description=_TYPE)
    next_url_path: Path = Field(
        default="next",
        validate_default=True,
        description="`json_link`: where the answer holds the next page's URL.",
    )


class HeaderLink(Model):
    type: Literal["header_link"] = Field(description=_TYPE)
    links_next_key: str = Field(
        default="next", description="`header_link`: the relation of the `Link` header that leads on."
    )


class HeaderCursor(Model):
    type: Literal["header_cursor"] = Field(description=_TYPE)
    cursor_key: str = Field(
        default="next", description="`header_cursor`: the header that holds the next cursor."
    )
    cursor_param: str = Field(
        default="cursor", description="`cursor`, `header_cursor`: the parameter that takes the cursor."
    )


class Cursor(Model):
    type: Literal["cursor"] = Field(description=_TYPE)
    cursor_path: Path = Field(
        default="cursors.next",
        validate_default=True,
        description="`cursor`: where the answer holds the next cursor.",
    )
    cursor_param: str | None = Field(
        default=None, description="`cursor`, `header_cursor`: the parameter that takes the cursor."
    )
    cursor_body_path: Path | None = Field(default=None, description=f"`cursor`: {_BODY}")
    stop_after_empty_page: bool = Field(default=False, description=_STOP)
    has_more_path: Path | None = Field(default=None, description=_MORE)


class Offset(Model):
    type: Literal["offset"] = Field(description=_TYPE)
    limit: int = Field(ge=1, description="`offset`: how many records to ask for in a page.")
    offset: int = Field(default=0, ge=0, description="`offset`: that of the first page.")
    offset_param: str = Field(default="offset", description="`offset`: the parameter that takes the offset.")
    offset_body_path: Path | None = Field(default=None, description=f"`offset`: {_BODY}")
    limit_param: str | None = Field(
        default="limit", description="`offset`: the parameter that takes the limit."
    )
    limit_body_path: Path | None = Field(default=None, description=f"`offset`: {_BODY}")
    total_path: Path | None = Field(
        default="total",
        validate_default=True,
        description=_TOTAL.format("records (`offset`) or pages (`page_number`)"),
    )
    maximum_offset: int | None = Field(
        default=None, ge=1, description="`offset`: no page is read from here on."
    )
    stop_after_empty_page: bool = Field(default=True, description=_STOP)
    has_more_path: Path | None = Field(default=None, description=_MORE)


class PageNumber(Model):
    type: Literal["page_number"] = Field(description=_TYPE)
    base_page: int = Field(default=0, ge=0, description="`page_number`: the number of the first page.")
    page: int | None = Field(default=None, ge=0, description="`page_number`: the page to begin with.")
    page_param: str = Field(default="page", description="`page_number`: the parameter that takes the number.")
    page_body_path: Path | None = Field(default=None, description=f"`page_number`: {_BODY}")
    total_path: Path | None = Field(
        default="total",
        validate_default=True,
        description=_TOTAL.format("records (`offset`) or pages (`page_number`)"),
    )
    maximum_page: int | None = Field(
        default=None, ge=1, description="`page_number`: no page is read from here on."
    )
    stop_after_empty_page: bool = Field(default=True, description=_STOP)
    has_more_path: Path | None = Field(default=None, description=_MORE)


def _shorthand(value: Any) -> Any:
    """``header_link`` is ``{type: header_link}``."""
    block = {"type": value} if isinstance(value, str) else value
    if isinstance(block, Mapping) and block.get("type") == "json_response":  # dlt's old name
        block = {**block, "type": "json_link"}
    if value == "offset":
        raise ValueError("needs a `limit`: write {type: offset, limit: 100}")
    return block


def _can_end(value: Any) -> Any:
    if (
        isinstance(value, (Offset, PageNumber))
        and not value.stop_after_empty_page
        and value.has_more_path is None
        and value.total_path is None
        and getattr(value, "maximum_page", getattr(value, "maximum_offset", None)) is None
    ):
        raise ValueError(
            "would never end: give it a total_path, has_more_path, a maximum, or stop_after_empty_page"
        )
    return value


Paginator = Annotated[
    SinglePage | Auto | JsonLink | HeaderLink | HeaderCursor | Cursor | Offset | PageNumber,
    Field(discriminator="type"),
]
AnyPaginator = Annotated[Paginator, BeforeValidator(_shorthand), AfterValidator(_can_end), OrText()]
