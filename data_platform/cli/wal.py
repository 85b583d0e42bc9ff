"""``wal``: receive the write-ahead log of the sources' databases, and say how far it is kept."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import ago, remark, say, say_json, say_table, size
from data_platform.errors import BackupError, ConfigurationError, DataPlatformError
from data_platform.private_files import make_private

if TYPE_CHECKING:
    from data_platform.backups.database.wal.receive import Sent
    from data_platform.backups.database.wal.server import Slot
    from data_platform.sync import Platform
    from data_platform.sync.wal import WalState

app = typer.Typer(name="wal", help="The write-ahead log of the sources' databases.", no_args_is_help=True)

ALIVE, ALIVE_SECONDS = "alive", 5.0
"""A file below the folder of the receiver, touched so often while every receiver is at work."""

SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SOURCE]...", help="Whose. Default: every source whose `backups.database` uses WAL."
    ),
]


@app.command("receive")
def receive(
    sources: SourcesArgument = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when everything is shipped that the server has now.")
    ] = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Receive the WAL of databases and ship it into every backup store, without end.

    It reports what fails and tries again. The server keeps what no store has, up to `slot_max_mb`.
    """
    platform = open_project(root, environment)
    from data_platform.sync import wal

    names = _named(platform, sources)
    receivers = {name: wal.receiver(platform, name, remark) for name in names}
    if once:
        failed = [name for name, one in receivers.items() if not _tell(name, one.once())]
        if failed:
            raise BackupError(f"Not every store got the WAL of {', '.join(failed)}.")
        return
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    threads = [threading.Thread(target=one.run, args=(stop,)) for one in receivers.values()]
    for thread in threads:
        thread.start()
    remark(f"Receiving the WAL of {', '.join(names)}. Stop it with Ctrl+C.")
    alive = platform.catalog.root / wal.SPOOL / ALIVE
    while all(thread.is_alive() for thread in threads) and not stop.is_set():
        make_private(alive.parent)
        alive.touch(mode=0o600)  # what looks after the process reads its age
        stop.wait(ALIVE_SECONDS)
    ended = not stop.is_set()
    stop.set()
    for thread in threads:
        thread.join()
    if ended:
        raise BackupError("A receiver ended by itself: that is a defect. Start it again.")


@app.command("status")
def status(
    sources: SourcesArgument = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show how far the WAL is kept in every store, what would be lost now, and what the server holds back.

    Ends with 8 if WAL is missing, a store cannot be read, or the slot keeps nothing.
    """
    platform = open_project(root, environment)
    from data_platform.sync import wal

    now = platform.clock()
    found = {name: (wal.states(platform, name), _slot(platform, name)) for name in _named(platform, sources)}
    problems = [line for name, (states, slot) in found.items() for line in _problems(name, states, slot)]
    if json:
        say_json(
            {
                "ok": not problems,
                "sources": {
                    name: {
                        "stores": [_fields(state, now) for state in states],
                        "slot": _slot_fields(slot),
                    }
                    for name, (states, slot) in found.items()
                },
                "problems": problems,
            }
        )
    else:
        rows = [
            (
                name,
                state.archive,
                f"{state.coverage.start} to {state.coverage.end}" if state.coverage else "none",
                str(state.coverage.timeline) if state.coverage else "",
                f"{rpo:,.1f} s" if (rpo := state.rpo_seconds(now)) is not None else "not known",
                ago(state.heartbeat.at, now) if state.heartbeat else "none",
            )
            for name, (states, _) in found.items()
            for state in states
        ]
        say_table(("source", "store", "WAL", "timeline", "RPO", "newest heartbeat"), rows)
        for name, (_, slot) in found.items():
            if not isinstance(slot, str) and slot is not None:
                say(f"{name}: the server holds back {size(slot.holds_bytes)} for the slot {slot.name}.")
    if problems:
        raise BackupError(" ".join(problems))


def _named(platform: Platform, sources: list[str] | None) -> list[str]:
    from data_platform.sync import wal

    names = sources or wal.received(platform)
    if not names:
        raise ConfigurationError(
            "No source of the catalog has `backups: {database: {engine: native}}`, so there is no WAL to receive."
        )
    for name in names:
        wal.settings(platform, name)
    return names


def _tell(name: str, sent: list[Sent] | None) -> bool:
    if sent is None:
        remark(f"Another receiver gets the WAL of {name} already; nothing was done.")
        return True
    for one in sent:
        if one.problem:
            remark(f"{name}: {one.archive} did not get all of it: {one.problem}")
        elif one.end:
            remark(f"{name}: shipped up to {one.end[1]} on timeline {one.end[0]} into {one.archive}.")
    return not any(one.problem for one in sent)


def _slot(platform: Platform, name: str) -> Slot | str | None:
    """What the server says of the slot, or why it says nothing."""
    from data_platform.sync import wal

    try:
        return wal.slot(platform, name)
    except DataPlatformError as error:
        return str(error)


def _problems(name: str, states: list[WalState], slot: Slot | str | None) -> list[str]:
    found = [f"{name}: {state.archive}: {state.problem}" for state in states if state.problem]
    found += [
        f"{name}: the segment {state.coverage.gap} is missing in {state.archive}."
        for state in states
        if state.coverage and state.coverage.gap
    ]
    found += [
        f"{name}: {state.archive} holds no WAL yet: run `data-platform wal receive`."
        for state in states
        if not state.problem and not state.coverage
    ]
    if isinstance(slot, str):
        found.append(slot)
    elif slot is None:
        found.append(f"{name}: the server has no slot for the receiver: run `data-platform wal receive`.")
    elif slot.lost:
        found.append(f"{name}: the slot {slot.name} keeps no WAL any more: {slot.lost}.")
    return found


def _fields(state: WalState, now: Any) -> dict[str, Any]:
    covered, beat = state.coverage, state.heartbeat
    return {
        "store": state.archive,
        "system": state.system or None,
        "timeline": covered.timeline if covered else None,
        "start": str(covered.start) if covered else None,
        "end": str(covered.end) if covered else None,
        "gap": covered.gap if covered and covered.gap else None,
        "heartbeat_at": beat.at.isoformat() if beat else None,
        "rpo_seconds": state.rpo_seconds(now),
        "interrupted_at": state.interrupted_at.isoformat() if state.interrupted_at else None,
        "problem": state.problem or None,
    }


def _slot_fields(slot: Slot | str | None) -> dict[str, Any] | None:
    if slot is None or isinstance(slot, str):
        return None
    return {"name": slot.name, "holds_bytes": slot.holds_bytes, "lost": slot.lost or None}
