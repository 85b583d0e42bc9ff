"""The audit trail of an environment: where it lies, who acts, and what is verified and copied each day."""

from __future__ import annotations

import getpass
import hashlib
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.audit.event import Detail, Event, checked_text, is_name, looks_personal
from data_platform.audit.trail import NAME, Act, Trail
from data_platform.catalog import load_catalog
from data_platform.catalog.reads import catalog_files
from data_platform.chained import copies
from data_platform.chained.log import Log
from data_platform.chained.verify import Verification, accept, verify
from data_platform.column_lineage import relations_in
from data_platform.errors import ConfigurationError, DataPlatformError, LedgerBroken
from data_platform.landing import hint
from data_platform.landing.grammar import is_digest
from data_platform.landing.part import canonical
from data_platform.private_files import make_private
from data_platform.stores import Store
from data_platform.stores.encrypted import opener

if TYPE_CHECKING:
    from data_platform.sync.platform import Platform

_LOG = logging.getLogger(__name__)
REMEMBERED = Path(".data/audit")
ACTOR_VARIABLE = "DATA_PLATFORM_ACTOR"
_ODD = re.compile(r"[^A-Za-z0-9_.@:/+-]+")


@dataclass(frozen=True)
class Headed:
    """What a day's run found, signed and copied; ``failed`` are the second stores that did not take it."""

    found: Verification
    stores: tuple[str, ...]
    copied: int
    failed: Mapping[str, DataPlatformError]


def open_trail(platform: Platform) -> Trail:
    """The trail of the platform's environment. Asks nothing of any store."""
    config, root = platform.environment.audit, platform.catalog.root
    store = config.store.open(root, platform.environ) if config.store else platform.store
    return Trail(
        Log(store, NAME, platform.signer, platform.clock), actor(platform.environ), second_stores(platform)
    )


def second_stores(platform: Platform) -> list[Store]:
    """The stores of heads and copies: that of `second`, or the backup store and its copies, encrypted as they are."""
    config, backups = platform.environment.audit, platform.environment.backups
    root, environ = platform.catalog.root, platform.environ
    if config.second:
        return [config.second.open(root, environ)]
    kinds = [backups.store, *backups.copies.values()] if backups else []
    encryption = backups.encryption if backups else None
    return [opener(partial(kind.open, root, environ), encryption, environ)() for kind in kinds]


def reachable(trail: Trail) -> tuple[list[Store], dict[str, DataPlatformError]]:
    """The second stores that can be read, and why others cannot: a trail is verified all the same."""
    good, failed = list[Store](), dict[str, DataPlatformError]()
    for store in trail.second:
        try:
            copies.heads(trail.log, store, trail.log.last())
            good.append(store)
        except LedgerBroken:
            good.append(store)
        except DataPlatformError as error:
            failed[store.url] = error
    return good, failed


def actor(environ: Mapping[str, str]) -> str:
    """Who acts: what DATA_PLATFORM_ACTOR says, or the user of this machine."""
    if given := environ.get(ACTOR_VARIABLE, "").strip():
        if _ODD.search(given) or len(given) > 100 or not given[0].isalnum():
            raise ConfigurationError(
                f"{ACTOR_VARIABLE} must be a name of at most 100 letters, digits and . @ : / + - _, such as `agent:reports`."
            )
        return given
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    name = _ODD.sub("_", f"{user}@{socket.gethostname()}")[:100]
    return name if name[0].isalnum() else f"u{name}"[:100]


def sign_and_copy(platform: Platform) -> Headed:
    """Verify what is new, then sign the head and bring the copies up to date. Nothing is signed where the trail is damaged."""
    trail = platform.trail
    second, failed = reachable(trail)
    found = verify(trail.log, second)
    stored, copied = list[str](), 0
    if found.problems:
        return Headed(found, (), 0, failed)
    trail.log.pack()
    for store in second:
        try:
            copied += copies.copy(trail.log, store)
            stored.append(store.url)
        except DataPlatformError as error:
            failed[store.url] = error
    copies.sign_head(trail.log, [store for store in second if store.url in stored])
    return Headed(found, tuple(stored), copied, failed)


def note_configuration(platform: Platform) -> None:
    """Record that the catalog is another one than the last that was recorded. A file of this machine remembers which, so that
    nothing is asked of the store where nothing changed. What fails is warned of, and tried again the next time."""
    try:
        seen = _digest(platform.catalog.root)
        if seen is None or _remembered(platform) == seen:
            return
        log, key = platform.trail.log, f"{platform.trail.log.folder}/configuration.json"
        found = hashlib.sha256(canonical(_resolved(platform))).hexdigest()
        before = hint.read(log.store, key, log.signer).get("sha256")
        if before != found:
            details: dict[str, Detail] = {"sha256": found, "before": before if is_digest(before) else None}
            platform.trail.record(Event("configuration", (platform.environment.name,), details=details))
            hint.write(log.store, key, {"sha256": found}, log.signer)
        _remember(platform, seen)
    except DataPlatformError as error:
        _LOG.warning("The audit trail could not record that the catalog changed: %s", error)


def _resolved(platform: Platform) -> dict[str, Any]:
    """The catalog as it is understood: comments and the order of keys are not in it, nor which sources this process has
    variables for."""
    catalog = load_catalog(platform.catalog.root, whole=False)
    return catalog.model_dump(mode="json", exclude={"root", "questions", "left_out", "not_configured"})


def _digest(root: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        for path in catalog_files(root):
            text = path.read_bytes() if path.is_file() else b""
            digest.update(f"{path.name}\0{len(text)}\0".encode(errors="surrogateescape") + text)
    except OSError:
        return None
    return digest.hexdigest()


def _remembered(platform: Platform) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return (platform.catalog.root / REMEMBERED / platform.environment.name).read_text()
    return ""


def _remember(platform: Platform, digest: str) -> None:
    with suppress(OSError):
        make_private(platform.catalog.root / REMEMBERED)
        (platform.catalog.root / REMEMBERED / platform.environment.name).write_text(digest)


def accept_trail(platform: Platform, purpose: str, found: Verification) -> None:
    """Accept the trail as it is, and record who did so, and why."""
    checked_text(purpose, "The reason")
    trail = platform.trail
    accept(trail.log)
    digest = hashlib.sha256("\n".join(found.problems).encode()).hexdigest()
    trail.record(
        Event("accept", purpose=purpose, details={"problems": len(found.problems), "sha256": digest})
    )
    accept(trail.log)


def without_person(text: str) -> str:
    """``text`` that a person wrote elsewhere, for an event; empty where it may name somebody."""
    line = " ".join(text.split())[:300]
    return "" if looks_personal(line) or not line[:1].isalnum() else line


def as_name(text: str) -> str:
    """``text``, such as a person's name, as a detail of an event."""
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "_", text)[:100]
    return name if name[:1].isalnum() else f"x{name}"


@contextmanager
def audited_if_possible(platform: Platform, event: Event, note: Callable[[str], None]) -> Iterator[None]:
    """For a recovery, which must go on though the trail's store is lost: ``note`` is told why something was not recorded."""
    recorded = platform.trail.audited(event)
    try:
        recorded.__enter__()
    except DataPlatformError as error:
        note(f"The audit trail could not record this: {error}")
        yield
        return
    try:
        yield
    except BaseException as error:
        recorded.__exit__(type(error), error, error.__traceback__)
        raise
    try:
        recorded.__exit__(None, None, None)
    except DataPlatformError as error:
        note(f"The audit trail could not record that this is done: {error}")


@contextmanager
def recorded_query(platform: Platform, text: str) -> Iterator[None]:
    """Record the statement ``text`` by its digest, with the tables that it names, once it was run: what failed with its digest
    alone, since the names in it need not be tables. An error where that is not recorded, so that nobody sees the rows."""
    if not platform.environment.audit.queries:
        yield
        return
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    try:
        yield
    except DataPlatformError as error:
        with suppress(DataPlatformError):
            platform.trail.record(
                Event("query", outcome="failed", details={"sha256": sha256, "error": type(error).__name__})
            )
        raise
    named = sorted(".".join(one) for one in relations_in(text, platform.environment.warehouse.dialect.name))
    try:
        platform.trail.record(Event("query", tuple(filter(is_name, named)), details={"sha256": sha256}))
    except DataPlatformError as error:
        raise type(error)(
            f"The statement was run, but could not be recorded in the audit trail, so its rows are not shown. {error}"
        ) from None


@contextmanager
def audited_deletion(platform: Platform, what: str) -> Iterator[Callable[[str, Sequence[str]], None]]:
    """For what deletes backups: gives what is to be called with an archive and the names of what is about to go there. One
    event before the first, so that nothing is deleted that could not be recorded; one after the last, with all names. None at
    all where nothing goes."""
    gone: dict[str, list[str]] = {}
    with ExitStack() as stack:
        act: list[Act] = []

        def going(archive: str, names: Sequence[str]) -> None:
            if names and not act:
                act.append(stack.enter_context(platform.trail.audited(Event("backup_deletion", (what,)))))
            gone.setdefault(archive, []).extend(names)
            if act:
                _name(act[0], what, gone)

        yield going


def _name(act: Act, what: str, gone: Mapping[str, Sequence[str]]) -> None:
    """Objects: the kind of backup, and each thing that goes, runs of write-ahead log as their count alone."""
    names = {archive: [name for name in some if is_name(name)] for archive, some in gone.items()}
    act.objects = (what, *sorted({name for some in names.values() for name in some}))
    act.details["deleted"] = sum(map(len, gone.values()))
    act.details["archives"] = tuple(sorted(archive for archive, some in gone.items() if some))
