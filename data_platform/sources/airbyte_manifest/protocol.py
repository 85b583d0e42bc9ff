"""Airbyte's protocol: the lines that its program prints, as far as they are used. The data of records stays bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from data_platform.printable import printable_line
from data_platform.sources.given import leaves

_TOLD = 400
_SHORTEST = 3
"""A value of the config with fewer characters is in every text."""


class Record(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Descriptor(msgspec.Struct):
    name: str


class _StreamState(msgspec.Struct):
    stream_descriptor: _Descriptor
    stream_state: dict[str, Any] | None = None


class State(msgspec.Struct):
    stream: _StreamState | None = None


class Failure(msgspec.Struct):
    message: str | None = None
    failure_type: str | None = None
    stream_descriptor: _Descriptor | None = None


class Status(msgspec.Struct):
    stream_descriptor: _Descriptor
    status: str


class Trace(msgspec.Struct):
    error: Failure | None = None
    stream_status: Status | None = None


class Log(msgspec.Struct):
    level: str
    message: str


class Stream(msgspec.Struct):
    """One of the catalog. ``definition`` is all of it, as it was told."""

    name: str
    json_schema: dict[str, Any] = {}
    supported_sync_modes: list[str] = []
    default_cursor_field: list[str] | None = None
    source_defined_primary_key: list[list[str]] | None = None


class ConnectionStatus(msgspec.Struct):
    status: str
    message: str | None = None


class _Catalog(msgspec.Struct):
    streams: list[msgspec.Raw]


class Message(msgspec.Struct):
    type: str
    record: Record | None = None
    state: State | None = None
    trace: Trace | None = None
    log: Log | None = None
    catalog: _Catalog | None = None
    connectionStatus: ConnectionStatus | None = None


_MESSAGE = msgspec.json.Decoder(Message)
_STREAM = msgspec.json.Decoder(Stream)


def messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """The messages among ``lines``: what a library prints beside them is none."""
    for line in lines:
        if line.startswith(b"{"):
            try:
                yield _MESSAGE.decode(line)
            except msgspec.MsgspecError:
                continue


def streams(catalog: _Catalog) -> dict[str, tuple[Stream, Mapping[str, Any]]]:
    """By name, what is used of a stream, and all of it."""
    found = [(_STREAM.decode(raw), msgspec.json.decode(raw)) for raw in catalog.streams]
    return {stream.name: (stream, whole) for stream, whole in found}


def redacted(text: str, config: Mapping[str, Any]) -> str:
    """The beginning of ``text`` on one line, without any value of ``config``."""
    values = {
        str(value)
        for _, value in leaves(config)
        if len(str(value)) >= _SHORTEST and not isinstance(value, bool)
    }
    for value in sorted(values, key=len, reverse=True):
        for form in (value, quote(value, safe=""), quote(value)):
            text = text.replace(form, "***")
    line = printable_line(" ".join(text.split()))
    return line if len(line) <= _TOLD else f"{line[:_TOLD]}..."
