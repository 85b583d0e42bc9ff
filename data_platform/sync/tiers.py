"""Moves objects of landing, backups and archive to cheaper storage classes, by their age.

Nothing moves before every copy of it was read and hashed. Backups and landing stay readable at once, since a restore and
a rebuild read them; only the archive goes where an object has to be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from data_platform.backups.archive import Archive
from data_platform.backups.config import TierSettings
from data_platform.backups.manifest import BackupManifest, made_at
from data_platform.backups.mirror import place_in
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE, Shelf
from data_platform.backups.thaw import frozen
from data_platform.errors import BackupError, ConfigurationError, DataPlatformError, LandingError
from data_platform.landing.keys import part_sequence
from data_platform.landing.ledger import Ledger
from data_platform.landing.stored_parts import damage_of
from data_platform.stores import Store
from data_platform.stores.tiering import (
    BYTES_MIN,
    Placed,
    StorageClass,
    Tier,
    Tiering,
    chosen,
    class_of,
    colder,
    tiering,
)
from data_platform.sync.backup import archives, settings
from data_platform.sync.platform import Platform
from data_platform.tables import TableId


@dataclass(frozen=True)
class Move:
    """Objects of one backup, or of one landed table, that are to move together. ``problem`` is why they did not."""

    store: str
    what: str
    to: StorageClass
    keys: tuple[str, ...]
    bytes: int
    problem: str = ""


def tier_settings(platform: Platform) -> TierSettings:
    """``ConfigurationError`` where the environment moves nothing."""
    found = settings(platform).tiers
    if found is None:
        raise ConfigurationError(
            f"The environment {platform.environment.name!r} moves nothing between storage classes. Add"
            " `tiers: {warm_after_days: 7, cold_after_days: 90}` to its `backups:` in catalog/platform.yaml."
        )
    return found


def due(platform: Platform) -> list[Move]:
    """What the rule would move. Reads no object; one listing for each backup that is old enough, and each landed table."""
    rule = tier_settings(platform)
    return [
        *(move for shelf in (WAREHOUSE, ARCHIVE) for move, _ in _of_shelf(platform, rule, shelf)),
        *(move for move, _, _ in _of_landing(platform, rule)),
    ]


def move_due(platform: Platform) -> list[Move]:
    """Move what the rule says, once every copy of it was read and hashed. What did not prove itself stays, with its
    ``problem``."""
    rule = tier_settings(platform)
    done = []
    for shelf in (WAREHOUSE, ARCHIVE):
        proven: dict[str, str] = {}  # by id: each copy is read once, though several stores move it
        for move, (one, id_) in _of_shelf(platform, rule, shelf):
            if id_ not in proven:
                proven[id_] = _unproven(platform, shelf, id_)
            done.append(_moved(one.store, move, proven[id_]))
    for move, ledger, table in _of_landing(platform, rule):
        done += _moved_parts(platform, ledger, table, move)
    return done


def target(rule: TierSettings, age: timedelta) -> Tier:
    """The tier of an object of this age."""
    if age >= timedelta(days=rule.cold_after_days):
        return "cold"
    return "warm" if age >= timedelta(days=rule.warm_after_days) else "hot"


def _of_shelf(
    platform: Platform, rule: TierSettings, shelf: Shelf
) -> Iterator[tuple[Move, tuple[Archive, str]]]:
    now = platform.clock()
    for one in archives(platform, shelf):
        classes = tiering(one.store)
        if classes is None:
            continue
        for id_ in one.ids():
            tier = target(rule, now - made_at(id_))
            if tier == "hot":
                continue
            to = chosen(classes.classes, tier, at_once=shelf is not ARCHIVE)
            found = _hotter(classes, classes.survey(shelf.key(id_, "").rstrip("/")), to)
            if found:
                yield _move(one.name, f"{shelf.word} {id_}", to, found), (one, id_)


def _of_landing(platform: Platform, rule: TierSettings) -> Iterator[tuple[Move, Ledger, TableId]]:
    ledger = platform.ledger
    classes = tiering(ledger.store)
    if classes is None:
        return
    now = platform.clock()
    for table in platform.catalog.table_ids():
        by_class: dict[str, list[Placed]] = {}
        for placed in classes.survey(f"{table}/batches"):
            tier = target(rule, _age(classes, placed, rule, now))
            if tier != "hot":
                to = chosen(classes.classes, tier, at_once=True)
                by_class.setdefault(to.name, []).append(placed)
        for name, objects in by_class.items():
            known = class_of(classes.classes, name)
            if known and (found := _hotter(classes, objects, known)):
                yield _move("landing", str(table), known, found), ledger, table


def _age(classes: Tiering, placed: Placed, rule: TierSettings, now: datetime) -> timedelta:
    """A landed object's age. A move writes it again, so what is warm was already as old as the rule when it was placed."""
    known = class_of(classes.classes, placed.storage_class)
    before = timedelta(days=rule.warm_after_days if known and known.tier == "warm" else 0)
    return now - placed.placed_at + before


def _hotter(classes: Tiering, objects: list[Placed], to: StorageClass) -> list[Placed]:
    return [
        one for one in objects if one.bytes >= BYTES_MIN and colder(classes.classes, one.storage_class, to)
    ]


def _move(store: str, what: str, to: StorageClass, found: list[Placed]) -> Move:
    return Move(store, what, to, tuple(one.key for one in found), sum(one.bytes for one in found))


def _unproven(platform: Platform, shelf: Shelf, id_: str) -> str:
    """Why a copy of the backup is not proven; empty if all are. What is frozen is proven by its size: it was read before."""
    for one in archives(platform, shelf):
        try:
            manifest: BackupManifest = one.manifest(id_)
            left = frozen(one, manifest)
            cold = {placed.key for placed in left.objects} if left else set()
            problems = one.damage(manifest, deep=True, unreadable=cold)
        except (BackupError, LandingError) as error:
            problems = [str(error)]
        if problems:
            return problems[0]
    return ""


def _moved(store: Store, move: Move, problem: str) -> Move:
    if problem:
        return Move(move.store, move.what, move.to, (), 0, problem)
    classes = tiering(store)
    assert classes is not None
    try:
        store.together([partial(classes.move, key, move.to) for key in move.keys])
    except (DataPlatformError, KeyError) as error:
        return Move(move.store, move.what, move.to, (), 0, str(error))
    return move


def _moved_parts(platform: Platform, ledger: Ledger, table: TableId, move: Move) -> Iterator[Move]:
    """Move the parts of which every copy is as its manifest says. The others stay, with the first problem."""
    copies: list[Store] = [ledger.store]
    if settings(platform).landing:
        copies += [place_in(one).reader for one in archives(platform)]
    good, problem = [], ""
    for key in move.keys:
        wrong = _unproven_part(ledger, table, key, copies)
        if wrong:
            problem = problem or wrong
        else:
            good.append(key)
    sizes = {placed.key: placed.bytes for placed in _placed(ledger.store, table)} if problem else {}
    total = sum(sizes[key] for key in good) if problem else move.bytes
    if good:
        yield _moved(ledger.store, Move(move.store, move.what, move.to, tuple(good), total), "")
    if problem:
        yield Move(move.store, move.what, move.to, (), 0, problem)


def _placed(store: Store, table: TableId) -> list[Placed]:
    classes = tiering(store)
    return classes.survey(f"{table}/batches") if classes else []


def _unproven_part(ledger: Ledger, table: TableId, key: str, copies: list[Store]) -> str:
    sequence = part_sequence(table, key)
    try:
        manifest = ledger.read(table, sequence) if sequence else None
    except DataPlatformError as error:
        return str(error)
    part = next((part for part in manifest.parts if part.key == key), None) if manifest else None
    if manifest is None or part is None:
        return f"{key} is not a current part of {table}, so nothing proves it"
    for store in copies:
        if damage := damage_of(store, manifest, part):
            return f"{damage} ({store.url})"
    return ""
