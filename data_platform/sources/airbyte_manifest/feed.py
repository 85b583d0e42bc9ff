"""``sources.records.feed.Feed`` over the streams of an Airbyte manifest.

A state is ``{"airbyte": <the stream's state>, "edge": [[key, record], ...]}``. Airbyte's program tells its state after the
records that it covers, most often once a slice of time. The edge are keyed digests of the records that came last: a manifest
asks for what changed since its cursor, so that the last ones come again, and are no news.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime
from types import TracebackType
from typing import Any

import msgspec

from data_platform.errors import DataPlatformError, SourceError, SourceUnreachable
from data_platform.findings import Finding
from data_platform.sources.airbyte_manifest.config import connection_of
from data_platform.sources.airbyte_manifest.keys import airbyte_settings
from data_platform.sources.airbyte_manifest.manifest import checked_manifest
from data_platform.sources.airbyte_manifest.process import Program
from data_platform.sources.airbyte_manifest.protocol import (
    Failure,
    Message,
    Stream,
    messages,
    redacted,
    streams,
)
from data_platform.sources.given import resolved
from data_platform.sources.reading import Opening, SourceTable
from data_platform.sources.records.feed import Known, Page, State, UsualFeed, Wanted
from data_platform.sources.records.looking import RecordsLooking, looking_of
from data_platform.sources.records.reading import RecordsReading, reading_of

PAGE_RECORDS = 1_000
EDGE_MAX = 200
_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WORDS = {"integer": "bigint", "boolean": "bool", "string": "text", "object": "json", "array": "json"}


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(AirbyteFeed(opening))


def open_looking(opening: Opening) -> AbstractContextManager[RecordsLooking]:
    return looking_of(AirbyteFeed(opening), opening)


class Connector:
    """A manifest with its config. Every question to it is a process of its own."""

    def __init__(self, opening: Opening) -> None:
        connection = connection_of(opening.connection)
        self.source = opening.source
        self.manifest = checked_manifest(opening.source, connection.at(connection.manifest))
        self.config: dict[str, Any] = resolved(connection.config, opening.source, opening.environ)
        names = [connection.variable(key) for key in connection.variables(opening.environ)]
        self.secrets = [value for name in names if len(value := opening.environ.get(name, "").strip()) >= 6]
        self.program = Program(
            opening.source, connection.at(connection.environment), connection.silence_seconds, opening.environ
        )

    def ask(self, command: str, **files: Any) -> Generator[Message, None, None]:
        lines = self.program.lines(command, {"config": self.config, "manifest-path": self.manifest, **files})
        with closing(lines):
            yield from messages(lines)

    def catalog(self) -> dict[str, tuple[Stream, Mapping[str, Any]]]:
        """Its streams. SourceError where it tells none."""
        failure: Failure | None = None
        with closing(self.ask("discover")) as told:
            for message in told:
                if message.catalog is not None:
                    return streams(message.catalog)
                failure = failure or (message.trace.error if message.trace else None)
        raise self.explained(self.source, failure)

    def explained(self, where: str, failure: Failure | None) -> DataPlatformError:
        """What Airbyte's program said of its failure, without values of the config."""
        if failure is None or not failure.message:
            return SourceUnreachable(
                f"{where}: Airbyte's program ended without a word before it was done. What it gave up to its last state is"
                " landed, and the next sync goes on from there."
            )
        said = redacted(failure.message, self.config)
        if failure.failure_type == "transient_error":
            return SourceUnreachable(f"{where}: Airbyte's program says: {said} Try again later.")
        return SourceError(f"{where}: Airbyte's program says: {said}")


class AirbyteFeed(UsualFeed):
    """``Feed``."""

    def __init__(self, opening: Opening) -> None:
        self._connector = Connector(opening)
        self._streams = self._connector.catalog()
        self.system = f"airbyte {self._connector.manifest.name}"
        self._secret = json.dumps(self._connector.secrets).encode()
        given = json.dumps(connection_of(opening.connection).config, sort_keys=True, default=str)
        self._asks = hashlib.blake2b(given.encode(), digest_size=8).hexdigest()

    def _stream(self, table: SourceTable) -> tuple[Stream, Mapping[str, Any]]:
        name = airbyte_settings(table).stream
        if name not in self._streams:
            raise SourceError(
                f"{table.id}: the manifest has no stream {name}. It has: {', '.join(sorted(self._streams))}. Correct the table's"
                " name or `stream`."
            )
        return self._streams[name]

    def known(self, table: SourceTable) -> Known:
        stream, _ = self._stream(table)
        types = {} if airbyte_settings(table).parent else types_of(stream)
        return Known(f"stream {stream.name}", {"stream": stream.name, "asks": self._asks}, types)

    def stream(self, table: SourceTable) -> Hashable:
        return airbyte_settings(table).parent or table.id.table

    def incremental(self, table: SourceTable) -> bool:
        return "incremental" in self._stream(table)[0].supported_sync_modes

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        table = wanted.tables[0]
        stream, whole = self._stream(table)
        by_changes = self.incremental(table)
        held = wanted.start or {}
        edge = Edge(held.get("edge"), airbyte_settings(table).parent_key or table.key, self._secret)
        covered: Any = held.get("airbyte") or {}
        records: list[bytes] = []
        failure: Failure | None = None
        complete = False
        number = 0

        def page(*, more: bool) -> Page:
            nonlocal records, number
            number += 1
            state = {"airbyte": covered, **({"edge": edge.kept()} if by_changes else {})}
            given, records = records, []
            return Page(given, state, _text(covered), f"stream {stream.name}, page {number}", more=more)

        files = {
            "catalog": _configured(whole, by_changes),
            "state": _told(stream.name, covered if by_changes else {}),
        }
        with closing(self._connector.ask("read", **files)) as told:
            for message in told:
                if message.record is not None and message.record.stream == stream.name:
                    record = bytes(message.record.data)
                    if not by_changes or edge.is_new(record):
                        records.append(record)
                    if len(records) >= PAGE_RECORDS:
                        yield page(more=True)
                elif message.state is not None and by_changes and not failure:
                    covered = self._covered(table, message, stream.name, covered)
                    if records:
                        yield page(more=True)
                elif message.trace is not None:
                    failure = failure or message.trace.error
                    status = message.trace.stream_status
                    if status is not None and status.stream_descriptor.name == stream.name:
                        complete = complete or status.status == "COMPLETE"
        if failure is not None or not complete:
            raise self._connector.explained(f"{table.id}: stream {stream.name}", failure)
        yield page(more=False)

    def _covered(self, table: SourceTable, message: Message, name: str, before: Any) -> Any:
        told = message.state.stream if message.state else None
        if told is None or told.stream_descriptor.name != name or not told.stream_state:
            return before
        text = json.dumps(told.stream_state, ensure_ascii=False)
        if any(secret in text for secret in self._connector.secrets):
            raise SourceError(
                f"{table.id}: the stream {name} keeps the value of an environment variable in its state, which lands beside its"
                " rows. Nothing of it is read."
            )
        return told.stream_state

    def must_advance(self, before: State, after: State) -> bool:
        return before.get("airbyte") != after.get("airbyte")

    def interrupt(self) -> None:
        self._connector.program.stop.set()

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        for table in tables:
            try:
                stream, _ = self._stream(table)
            except SourceError as error:
                yield str(error)
                continue
            key = [path[0] for path in stream.source_defined_primary_key or [] if len(path) == 1]
            if key and table.key and not airbyte_settings(table).parent and set(key) != set(table.key):
                yield (
                    f"{table.id}: the stream {stream.name} has the primary key {', '.join(key)}, and the block the key"
                    f" {', '.join(table.key)}. Write `key: [{', '.join(key)}]`."
                )

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        name = f"{head}: answers"
        with closing(self._connector.ask("check")) as told:
            for message in told:
                if (status := message.connectionStatus) is not None:
                    said = redacted(status.message or "", self._connector.config)
                    if status.status == "SUCCEEDED":
                        yield Finding(name, "ok", "Airbyte's program reached it.")
                    else:
                        yield Finding(name, "fail", f"Airbyte's program says: {said}")
                    return
        yield Finding(name, "fail", "Airbyte's program ended without a word.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Each process ends with its question."""


class Edge:
    """Of each key that came last, the digest of its record. One that comes again just so is no news; one that changed
    back is."""

    def __init__(self, held: Any, key: Sequence[str], secret: bytes) -> None:
        self._key, self._secret = key, hashlib.blake2b(secret, digest_size=32).digest()
        self._found: dict[str, str] = dict(held) if isinstance(held, list) else {}

    def is_new(self, record: bytes) -> bool:
        try:
            fields = _RECORD.decode(record)
        except msgspec.MsgspecError:
            return True
        key = self._digest(b"\0".join(bytes(fields.get(name, b"")) for name in self._key))
        digest = self._digest(record)
        before = self._found.pop(key, None)
        self._found[key] = digest  # the last ones stand at the end
        if len(self._found) > EDGE_MAX:
            del self._found[next(iter(self._found))]
        return before != digest

    def kept(self) -> list[list[str]]:
        return [[key, digest] for key, digest in self._found.items()]

    def _digest(self, text: bytes) -> str:
        return hashlib.blake2b(text, digest_size=8, key=self._secret).hexdigest()


def types_of(stream: Stream) -> dict[str, str]:
    """What the stream's schema says of the fields, as words of ``records.types``; numbers are as they come."""
    types = {}
    for name, schema in (stream.json_schema.get("properties") or {}).items():
        kinds = schema.get("type") if isinstance(schema, dict) else None
        kinds = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds or []) if kind != "null"]
        if len(kinds) != 1 or kinds[0] not in _WORDS:
            continue
        word = _WORDS[kinds[0]]
        if word == "text" and schema.get("format") in ("date", "date-time"):
            word = "date" if schema["format"] == "date" else "timestamp"
        types[name] = word
    return types


def _configured(stream: Mapping[str, Any], by_changes: bool) -> Mapping[str, Any]:
    mode = "incremental" if by_changes else "full_refresh"
    cursor = stream.get("default_cursor_field")
    one = {"stream": stream, "sync_mode": mode, "destination_sync_mode": "append"}
    return {"streams": [{**one, **({"cursor_field": cursor} if cursor else {})}]}


def _told(name: str, state: Any) -> list[Any]:
    if not state:
        return []
    return [{"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": state}}]


def _text(state: Any) -> str:
    values = list(state.values()) if isinstance(state, Mapping) else []
    return f"up to {values[0]}" if len(values) == 1 and isinstance(values[0], str) else "all there was"
