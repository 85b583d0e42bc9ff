"""Whatever happens to an object of the landing store is named, or harmless by design, and never loaded.

Each seed damages one ledger in one way: kind of object x what is done to it x where in it. All of
them are gone through in turn, so that a thousand seeds are stratified. Then everybody reads: `verify` (by
its memory, and everything), a sync (the state, and what its warehouse has still to load) and a rebuild.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from data_platform.errors import LandingError
from data_platform.landing import orphans
from data_platform.landing.keys import part_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.redaction import Redaction, Rewritten
from data_platform.landing.state import TableState
from data_platform.landing.stored_parts import open_parts
from data_platform.landing.verify import contradictions, verify
from data_platform.stores.local import LocalStore
from data_platform.tables import Fingerprint, Load, Slice, TableId
from data_platform_tests.contracts.batches import COLUMNS, manifest, part_of, write_part
from data_platform_tests.landing.chains import unnamed_parts
from data_platform_tests.landing.damages import (
    BATCHES,
    FORKED_AT,
    LOOKED_AT,
    NOW,
    ORDERS,
    REDACTIONS,
    REPLACED_AT,
    STRATA,
    USERS,
    VERIFIED_AT,
    Damage,
    Files,
    Truth,
    damage,
)
from data_platform_tests.landing.redactions import ENVIRON, redaction

IN_CI = 20


# ---- the ledger that is damaged


def put(store: LocalStore, table: TableId, key: str, rows: range, life: str) -> Part:
    with store.scratch() as folder:
        path = write_part(
            folder / "part",
            COLUMNS,
            [(n, f"2026-01-0{1 + n % 9} 12:00:00+00", f"{table} {life} {n}", 700 + n) for n in rows],
        )
        made = part_of(path, key, len(rows))
        store.put_file(key, path)
    return made


def land(ledger: Ledger, table: TableId, sequence: int, life: str) -> None:
    store = ledger.store
    assert isinstance(store, LocalStore)
    head = ledger.head(table)
    nonce = f"{sequence:08d}" * 4  # of every life and table, so that their objects have the same keys
    if head and sequence in REDACTIONS:
        old = ledger.read(table, REDACTIONS[sequence]).parts[0]
        new = put(store, table, part_key(table, sequence, nonce), range(1, sequence), life)
        erasing: Redaction = redaction(Rewritten(REDACTIONS[sequence], 0, old, new))
        ledger.redact(head, erasing, nonce)
        store.delete(old.key)
        return
    load: Load = "replace" if sequence in (1, REPLACED_AT) else "merge"
    start = 40 * sequence
    parts = tuple(
        put(
            store,
            table,
            part_key(table, sequence, nonce, n),
            range(start + 20 * n, start + 20 * n + 20),
            life,
        )
        for n in range(2)
    )
    ledger.commit(
        manifest(
            sequence,
            load,
            rows=40,
            table=table,
            parts=parts,
            nonce=nonce,
            previous=head.digest if head else None,
            fingerprints={Slice(f"2026-01-0{1 + sequence % 9}"): Fingerprint(sequence, sequence)},
            touched={Slice("2026-01-01"): 40},
            measured_whole=load == "replace",
            committed_at=(NOW - timedelta(days=30 - sequence)).isoformat(),
            notes=(life,),
        )
    )


def grow(folder: Path, first: int, last: int, life: str) -> None:
    ledger = Ledger(LocalStore(folder), ENVIRON)
    for table in (ORDERS, USERS):
        for sequence in range(first, last + 1):
            land(ledger, table, sequence, life)
            if sequence == VERIFIED_AT:
                assert verify(ledger, table, NOW).problems == ()
        ledger.looked([table], LOOKED_AT)
        ledger.store.put_hint(part_key(table, 3, "lost" * 8), b"an orphan")
        orphans.collect(ledger, table, NOW, timedelta(days=1), remove=False)


def files_of(folder: Path) -> Files:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".scratch" not in path.parts
    }


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    folder = tmp_path_factory.mktemp("ledger")
    grow(folder / "now", 1, FORKED_AT, "now")
    shutil.copytree(folder / "now", folder / "former")
    older = files_of(folder / "now")
    grow(folder / "now", FORKED_AT + 1, BATCHES, "now")
    grow(folder / "former", FORKED_AT + 1, BATCHES, "former")
    ledger = Ledger(LocalStore(folder / "now"), ENVIRON)
    assert contradictions(ledger, ORDERS) == []
    found = files_of(folder / "now")
    former = files_of(folder / "former")
    return Truth(found, former, older, ledger.state(ORDERS), tuple(read_as_a_rebuild_does(ledger)))


# ---- who reads


def read_as_a_rebuild_does(ledger: Ledger) -> Iterator[tuple[Manifest, tuple[bytes, ...]]]:
    """The batches and the very bytes that `sync/rebuild.py` gives to the loader."""
    if problems := contradictions(ledger, ORDERS):
        raise LandingError(problems[0])
    for made in ledger.until(ORDERS, None):
        with open_parts(ledger, made) as parts:
            yield made, tuple(path.read_bytes() for path in parts)


def read_as_a_sync_does(ledger: Ledger, loaded: Manifest) -> tuple[TableState, list[Manifest]]:
    """The state, and what the warehouse that has loaded ``loaded`` lacks."""
    return ledger.state(ORDERS), ledger.pending(ORDERS, loaded.sequence, loaded.digest)


@dataclass
class Found:
    lines: list[str] = field(default_factory=list)
    by: set[str] = field(default_factory=set)


def look(truth: Truth, folder: Path, done: Damage) -> Found:
    """What everybody says. A reader that says nothing has read what was written, and all of it."""
    found = Found()
    ledger = Ledger(LocalStore(folder), ENVIRON)
    assert truth.state.head is not None
    try:
        read = read_as_a_sync_does(ledger, truth.state.head)
        same = read == (truth.state, [])
        assert same, "a sync read something else, and did not say so"
    except LandingError as error:
        found.lines.append(str(error))
        found.by.add("sync")
    try:
        same = tuple(read_as_a_rebuild_does(ledger)) == truth.rebuilt
        assert same or done.only_warehouse, "a rebuild would make something else"
    except LandingError as error:
        found.lines.append(str(error))
        found.by.add("rebuild")
    for name, since in (("verify", None), ("verify --since 0", 0)):
        if problems := verify(ledger, ORDERS, NOW, since=since).problems:
            found.lines += problems
            found.by.add(name)
    return found


def tried(truth: Truth, folder: Path, seed: int) -> list[str]:
    """Damage and look; what to count. AssertionError where something passed unseen, or the wrong was named."""
    stratum = STRATA[seed % len(STRATA)]
    files = dict(truth.files)
    done = damage(Random(seed), stratum, truth, files)
    change(folder, truth.files, files)
    found = look(truth, folder, done)
    what = f"{found}"
    if done.said is None:
        assert found.lines == [], what
        ledger = Ledger(LocalStore(folder), ENVIRON)
        assert ledger.looks().last(ORDERS) in (None, LOOKED_AT), what
        if done.orphan:
            assert done.orphan in unnamed_parts(ledger, ORDERS), what
        return ["harmless"]
    assert any(re.search(done.said, line) and str(ORDERS) in line for line in found.lines), what
    assert "sync" in found.by or not done.only_warehouse, what
    return ["named", *(f"by {name}" for name in found.by)]


@pytest.mark.timeout(3600)  # of as many seeds as are asked for
def test_all_damage_is_named_or_harmless_and_none_is_loaded(
    truth: Truth, seeds: Callable[[int], Sequence[int]], tmp_path: Path
) -> None:
    counted: Counter[str] = Counter()
    wrong = []
    change(tmp_path, {}, truth.files)
    for seed in seeds(IN_CI):
        try:
            counted.update(tried(truth, tmp_path, seed))
        except AssertionError as error:
            wrong.append(f"--seed {seed} {STRATA[seed % len(STRATA)]}: {error}")
        change(tmp_path, files_of(tmp_path), truth.files)  # the readers' own hints too
    total = f"{counted['named']:,} damages named, {counted['harmless']:,} harmless, {len(wrong):,} unseen"
    sys.stdout.write(f"\n{total}: {dict(counted)}\n")
    assert wrong == []


def change(folder: Path, before: Files, after: Files) -> None:
    for key in before.keys() - after.keys():
        (folder / key).unlink()
    for key, data in after.items():
        if before.get(key) != data:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
