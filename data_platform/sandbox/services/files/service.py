"""The shop's folder of files, kept as it would be at the present time, and a page that lists it.

Files come and change as others would leave them: whole files under a new name that are then moved to
their place, a log that grows at its end, and times of change that tell when they came. ``PUT /_sandbox/behaviour`` with
``clock_offset_seconds`` goes on to later days. ``POST /_sandbox/spoil`` with ``{"path": ..., "line": ...}`` adds a
line to a file that does not belong there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.private_files import make_private
from data_platform.sandbox.services.files import contents
from data_platform.sandbox.services.files.contents import CALLS_HEADER, Due, Rows
from data_platform.sandbox.services.service import Place, Service

if TYPE_CHECKING:
    import psycopg
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from data_platform.sandbox.services.database import Connections

URL_VARIABLE, FOLDER_VARIABLE = "SHOP_FILES_URL", "SHOP_FILES"
IDLE_SECONDS = 5.0
STILL_SECONDS = 60
"""For so long a file that is made at once has held still: readers leave those that were just written."""


@dataclass
class Folder:
    """``root`` with the files; beside it, which version of each was written, so that a file is written once."""

    root: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def written_path(self) -> Path:
        return self.root.with_name("written.json")

    def refresh(self, rows: Rows, now: float) -> list[str]:
        """Bring the folder to what it is by ``now``; the paths that were written. It never goes back."""
        moment = datetime.fromtimestamp(now, UTC)
        with self.lock:
            written = self._written(rows)
            first = rows("SELECT coalesce(min(occurred_at), now())::date FROM events", {})[0][0]
            new = [one for one in contents.due(moment, first) if written.get(one.path) not in (one.version, "corrected")]  # fmt: skip
            changed = self._dated(rows, new, written, moment.date())
            version, at = contents.feed_version(rows)
            if written.get("products/feed.ndjson") != version:
                self._place("products/feed.ndjson", contents.feed(rows), at)
                written["products/feed.ndjson"] = version
                changed.append("products/feed.ndjson")
            changed += self._grow(contents.calls(rows, moment))
            if changed:
                self._remember(written)
        return changed

    def spoil(self, path: str, line: str) -> None:
        """Append a line to a file of the folder. ValueError when it is not one of them."""
        target = (self.root / path).resolve()
        if not target.is_relative_to(self.root.resolve()) or not target.is_file():
            raise ValueError(f"There is no file {path} in the folder.")
        with target.open("ab") as file:
            file.write(line.encode() + b"\n")

    def listed(self) -> list[dict[str, Any]]:
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return [
            {
                "path": path.relative_to(self.root).as_posix(),
                "bytes": path.stat().st_size,
                "changed": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(),
            }
            for path in files
        ]

    def _dated(self, rows: Rows, new: list[Due], written: dict[str, str], today: date) -> list[str]:
        def of(kind: str) -> list[Due]:
            return [one for one in new if one.path.startswith(kind)]

        spent = contents.spend(rows, [one.day for one in of("marketing/")])
        counted = dict(contents.stock(rows, [one.day for one in of("stock/")]))
        for one in new:
            if one.path.startswith("marketing/"):
                body = contents.spend_csv(one.day, spent[one.day], one.version)
            elif one.path.startswith("stock/"):
                body = counted[one.day]
            else:
                body = contents.prices(rows, one.day, today)
            self._place(one.path, body, one.at)
            written[one.path] = one.version
        return [one.path for one in new]

    def _place(self, path: str, body: bytes, at: datetime) -> None:
        target = self.root / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        partial.write_bytes(body)
        os.utime(partial, (at.timestamp(), at.timestamp()))
        partial.replace(target)

    def _grow(self, months: Mapping[str, list[tuple[int, str]]]) -> list[str]:
        changed = []
        for path, lines in months.items():
            target = self.root / path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = target.read_text() if target.exists() else ""
            known = {line.partition(",")[0] for line in held.splitlines()}
            missing = [line for number, line in lines if str(number) not in known]
            if missing or not held:
                with target.open("a") as file:
                    file.write(("" if held else CALLS_HEADER) + "".join(missing))
                if not held:  # it grew before anybody looked, and holds still
                    os.utime(target, (time.time() - STILL_SECONDS,) * 2)
                changed.append(path)
        return changed

    def _written(self, rows: Rows) -> dict[str, str]:
        """The versions that lie there, all forgotten when the shop is another one than before."""
        shop = rows("SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), system_identifier FROM pg_control_system()", {})[0]  # fmt: skip
        name = hashlib.sha256(repr(shop).encode()).hexdigest()
        try:
            held: dict[str, str] = json.loads(self.written_path.read_text())
        except (OSError, ValueError):
            held = {}
        if held.get("shop") == name:
            return {path: version for path, version in held.items() if path == "shop" or (self.root / path).exists()}  # fmt: skip
        for path in self.root.rglob("*"):
            if path.is_file():
                path.unlink()
        return {"shop": name}

    def _remember(self, written: Mapping[str, str]) -> None:
        partial = self.written_path.with_suffix(".new")
        partial.write_text(json.dumps(written))
        partial.replace(self.written_path)


class Shelf:
    """The folder with its clock and its shop."""

    def __init__(self, root: Path, rows: Rows) -> None:
        self.folder, self.rows, self.offset = Folder(root), rows, 0.0

    def refresh(self) -> list[str]:
        return self.folder.refresh(self.rows, time.time() + self.offset)


def application(shelf: Shelf) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def listed(request: Request) -> Response:
        await run_in_threadpool(shelf.refresh)
        return JSONResponse({"folder": str(shelf.folder.root), "files": shelf.folder.listed()})

    async def behaviour(request: Request) -> Response:
        if request.method == "PUT":
            changes = await request.json()
            if changes.keys() != {"clock_offset_seconds"}:
                return JSONResponse({"error": "The folder's only behaviour is clock_offset_seconds."}, 400)
            shelf.offset = float(changes["clock_offset_seconds"])
        changed = await run_in_threadpool(shelf.refresh)
        return JSONResponse({"clock_offset_seconds": shelf.offset, "changed": changed})

    async def spoil(request: Request) -> Response:
        wanted = await request.json()
        try:
            shelf.folder.spoil(wanted["path"], wanted["line"])
        except (ValueError, KeyError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(wanted)

    return Starlette(
        routes=[
            Route("/", listed),
            Route("/_sandbox/behaviour", behaviour, methods=["GET", "PUT"]),
            Route("/_sandbox/spoil", spoil, methods=["POST"]),
        ]
    )


def _root(place: Place) -> Path:
    root = place.folder / "files"
    make_private(root)
    return root


def reader(connections: Connections) -> Rows:
    def rows(query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with connections.one() as connection:
            return connection.execute(query.encode(), values).fetchall()

    return rows


def _app(place: Place, connections: Connections) -> Starlette:
    return application(Shelf(_root(place), reader(connections)))


def _install(place: Place, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    def rows(query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return connection.execute(query.encode(), values).fetchall()

    Folder(_root(place)).refresh(rows, time.time())


async def _background(place: Place, connections: Connections) -> None:
    """Keep the folder up to date while nobody asks; the present time only."""
    import psycopg

    shelf = Shelf(_root(place), reader(connections))
    while True:
        await asyncio.sleep(IDLE_SECONDS)
        try:
            await asyncio.to_thread(shelf.refresh)
        except (psycopg.Error, OSError):
            continue  # the database is down or not filled yet; it will be asked again


SERVICE = Service(
    name="files", app=_app, base=URL_VARIABLE, install=_install, background=_background,
    variables=lambda place: {URL_VARIABLE: place.url, FOLDER_VARIABLE: str(_root(place))},
)  # fmt: skip
