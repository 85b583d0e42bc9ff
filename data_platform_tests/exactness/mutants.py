"""The sync with one rule broken, each beside the directed case that must notice.

A mutant is a replacement in the source text of real functions. Text that no longer stands there fails
loudly: whoever changes a rule's code says here how to break it.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

import pytest

from data_platform.landing.ledger import Ledger
from data_platform.sources.postgres import changes, clock, fingerprint, queries, reading
from data_platform.sources.postgres.extract import Readers
from data_platform.sources.postgres.session import SourceSession, changed_since
from data_platform.sync import decide, follow_up, pipeline, summarize
from data_platform.warehouses import batch
from data_platform.warehouses.duckdb import load, merge
from data_platform_tests.exactness import batch_cases, watermark_cases

Edit = tuple[Callable[..., Any] | tuple[Any, str], str, str]
"""A function, or a module and the name of a text in it; what stands there; what shall."""


@dataclass(frozen=True)
class Mutant:
    """``rule`` is what SYNC's rules say and the mutant does not."""

    name: str
    rule: str
    case: Callable[..., None]
    edits: tuple[Edit, ...]

    def apply(self, patch: pytest.MonkeyPatch) -> None:
        for where in dict.fromkeys(edit[0] for edit in self.edits):
            edits = [(old, new) for function, old, new in self.edits if function is where]
            if isinstance(where, tuple):
                module, name = where
                patch.setattr(module, name, _edited(getattr(module, name), edits, name))
            else:
                # the function's own code: whoever imported it runs the mutant too
                patch.setattr(where, "__code__", _compiled(where, edits))


def _edited(text: str, edits: Sequence[tuple[str, str]], where: str) -> str:
    for old, new in edits:
        if text.count(old) != 1:
            raise LookupError(
                f"{where} holds {old!r} {text.count(old)} times. Say anew how to break this rule."
            )
        text = text.replace(old, new)
    return text


def _compiled(function: Callable[..., Any], edits: Sequence[tuple[str, str]]) -> CodeType:
    text = _edited(inspect.getsource(function), edits, function.__qualname__)
    text = f"from __future__ import annotations\n{textwrap.dedent(text)}"
    module = compile(text, f"<mutant {function.__name__}>", "exec")
    found = [c for c in module.co_consts if isinstance(c, CodeType) and c.co_name == function.__name__]
    if len(found) != 1 or found[0].co_freevars:
        raise LookupError(f"{function.__qualname__} cannot be compiled by itself")
    return found[0]


_BEGIN_SNAPSHOT = """            text, xmin, taken, exported = execute(
                "select pg_current_snapshot()::text, pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
                " clock_timestamp(), pg_export_snapshot()"
            ).fetchone()
"""
_OBSERVE = """            if observe_activity:
                self.observation = observe(self._connection)
"""
_OBSERVE_BEFORE = """            if observe_activity:
                with transaction(self._connection, self.settings):
                    self.observation = observe(self._connection)
"""
_PREPARED = """    prepared = connection.execute(
        "select exists (select 1 from pg_prepared_xacts where database = current_database())"
    ).fetchone()[0]
"""

MUTANTS = (
    # ---- the watermark
    Mutant(
        "xmin after, not from, the oldest",
        "every row with xmin >= the snapshot's xmin",
        watermark_cases.late_commit,
        ((changed_since, "age(xmin) <= age(", "age(xmin) < age("),),
    ),
    Mutant(
        "the newest transaction as the watermark",
        "the watermark is pg_snapshot_xmin",
        watermark_cases.late_commit,
        ((SourceSession.begin, "pg_snapshot_xmin(", "pg_snapshot_xmax("),),
    ),
    Mutant(
        "the list of those in progress",
        "never by pg_visible_in_snapshot: subtransactions are not in it",
        watermark_cases.late_savepoint,
        (
            (
                changes.decide_changes,
                "newer = changed_since(before.xmin)",
                "newer = f\"not pg_visible_in_snapshot(xmin::text::xid8, '{prior.snapshot.text}')\"",
            ),
        ),
    ),
    Mutant(
        "system identifier unchecked",
        "another database is read whole",
        watermark_cases.another_database,
        ((decide.from_where, "if prior.position.system != snapshot.system:", "if False:"),),
    ),
    Mutant(
        "slice from before the watermark",
        "a slice of an older snapshot takes the watermark back",
        watermark_cases.slice_from_a_standby_that_lags,
        ((changes.watermark_after, "snapshot.xmin < before.xmin", "False"),),
    ),
    # ---- the clock path
    Mutant(
        "horizon is now",
        "the horizon is the lesser of the clock and the oldest transaction",
        watermark_cases.late_commit,
        ((clock.horizon, "[seen_from, seen.oldest]", "[seen_from]"),),
    ),
    Mutant(
        "all of our user's sessions left out",
        "only our own tagged sessions are left out of the activity",
        watermark_cases.late_commit,
        (((clock, "_ACTIVITY"), "(application_name = %s and usename", "(%s <> '' and usename"),),
    ),
    Mutant(
        "the transaction's start alone",
        "least(xact_start, query_start)",
        watermark_cases.cursor_of_the_calls_start,
        (((clock, "_ACTIVITY"), "least(xact_start, query_start)", "xact_start"),),
    ),
    Mutant(
        "activity read after the snapshot",
        "the activity is read before the snapshot",
        watermark_cases.commit_before_the_activity_is_read,
        (
            (SourceSession.begin, _OBSERVE_BEFORE, ""),
            (SourceSession.begin, _BEGIN_SNAPSHOT, _BEGIN_SNAPSHOT + _OBSERVE),
        ),
    ),
    Mutant(
        "clock read after the activity",
        "clock, then activity, then what is prepared",
        watermark_cases.start_after_the_activity_was_read,
        (
            (
                clock.observe,
                "    prepared = connection",
                '    (now,) = connection.execute("select clock_timestamp()").fetchone()\n    prepared = connection',
            ),
        ),
    ),
    Mutant(
        "prepared looked at before the activity",
        "clock, then activity, then what is prepared",
        watermark_cases.prepare_while_the_activity_is_read,
        (
            (clock.observe, _PREPARED, ""),
            (clock.observe, "    oldest, disabled =", f"{_PREPARED}    oldest, disabled ="),
        ),
    ),
    Mutant(
        "prepared ignored",
        "while anything is prepared the horizon does not advance",
        watermark_cases.prepared_across_a_sync,
        ((clock.horizon, "if seen.prepared:", "if False:"),),
    ),
    Mutant(
        "horizon not floored",
        "floored to the cursor's precision",
        watermark_cases.cursor_rounded_below_its_transaction,
        ((clock.floor_to_precision, "micros // unit * unit - unit", "micros"),),
    ),
    Mutant(
        "clock path without pg_read_all_stats",
        "refused without pg_read_all_stats",
        watermark_cases.reader_who_sees_no_activity,
        ((clock.horizon, "if not seen.sees_all_activity:", "if False:"),),
    ),
    Mutant(
        "clock path beside hidden activity",
        "refused with any backend's state disabled",
        watermark_cases.session_that_hides_its_activity,
        ((clock.horizon, "if seen.activity_disabled:", "if False:"),),
    ),
    Mutant(
        "clock path on a standby",
        "refused on a standby",
        watermark_cases.late_commit_seen_from_a_standby,
        (
            (clock.horizon, "if seen.standby:", "if False:"),
            (changes.decide_changes, "and not observation.standby", ""),
        ),
    ),
    Mutant(
        "clock path for an application's clock",
        "refused for an application's clock",
        watermark_cases.application_clock,
        (
            (clock.refusals, 'if cursor_clock != "database":', "if False:"),
            (changes.horizon, 'cursor_clock != "database"', "False"),
            (reading.by_clock, 'settings_of(table).cursor_clock == "database"', "True"),
        ),
    ),
    Mutant(
        "clock path over NULLs",
        "refused where the cursor may be NULL",
        watermark_cases.cursor_that_may_be_null,
        ((clock.refusals, "if not column.not_null:", "if False:"),),
    ),
    Mutant(
        "clock that steps back",
        "a clock that stepped back forces the xmin scan",
        watermark_cases.clock_that_steps_back,
        ((changes.decide_changes, "snapshot.taken_at < prior.snapshot.taken_at", "False"),),
    ),
    # ---- the snapshot
    Mutant(
        "no locks",
        "the tables are locked before the snapshot",
        batch_cases.truncate_beside_the_read,
        ((SourceSession._lock_some, 'execute(f"lock table', '(lambda _: None)(f"lock table'),),
    ),
    Mutant(
        "locks after the snapshot",
        "the tables are locked before the snapshot",
        batch_cases.truncate_before_the_read,
        (
            (
                SourceSession._begin_locked,
                "            failed = self._lock(",
                '            execute("select pg_current_snapshot()")\n            failed = self._lock(',
            ),
        ),
    ),
    Mutant(
        "readers without the snapshot",
        "all readers share one exported snapshot",
        batch_cases.commit_beside_the_readers,
        (
            (Readers._open, 'f"SET TRANSACTION SNAPSHOT {literal(self._snapshot)}"', '"SELECT 1"'),
            (Readers._open, "exported=self._snapshot is not None", "exported=False"),
        ),
    ),
    # ---- the merge
    Mutant(
        "newest cursor wins",
        "cursors are never compared",
        batch_cases.older_transaction_writes_last,
        (
            (
                load._apply,
                "        slices = manifest.slices if ",
                "        newer = f'(SELECT b.* FROM {batch.rows()} b WHERE NOT EXISTS (SELECT 1 FROM {batch.target} t'"
                " ' WHERE t.id = b.id AND t.updated_at > b.updated_at))'\n"
                "        rows = run(f'SELECT count(*) FROM {newer}')\n"
                "        if rows != manifest.rows:\n"
                "            records.record(connection, manifest, 0, 0)\n"
                "            return LoadResult(manifest.sequence, 0, 0, {}, 0)\n"
                "        slices = manifest.slices if ",
            ),
        ),
    ),
    Mutant(
        "slice deletes by slice alone",
        "a slice deletes by slice or by key",
        batch_cases.row_moved_into_a_slice,
        ((merge.collect_gone, "WHERE {asked} OR k.k0 IS NOT NULL", "WHERE {asked}"),),
    ),
    Mutant(
        "slice deletes by key alone",
        "a slice deletes by slice or by key",
        batch_cases.delete_in_a_slice,
        ((merge.collect_gone, "WHERE {asked} OR k.k0 IS NOT NULL", "WHERE k.k0 IS NOT NULL"),),
    ),
    Mutant(
        "vacated slice not read again",
        "what left a slice is read where it went",
        batch_cases.row_moved_out_of_a_slice,
        ((follow_up.follow_up, "any(result.vacated for result in report.loaded)", "False"),),
    ),
    Mutant(
        "vacated slice read by the clock",
        "what left a slice is found by the xmin scan",
        batch_cases.row_moved_out_of_a_slice,
        ((follow_up.follow_up, "by_clock=False", "by_clock=True"),),
    ),
    Mutant(
        "NULL is no slice to read",
        "a NULL partition is a slice of its own",
        batch_cases.changes_in_the_slice_of_nulls,
        ((fingerprint.slice_predicate, "if NULL_SLICE in slices else []", "if False else []"),),
    ),
    Mutant(
        "NULL is no slice to load",
        "a NULL partition is a slice of its own",
        batch_cases.changes_in_the_slice_of_nulls,
        ((merge._in_slices, "if NULL_SLICE in slices else []", "if False else []"),),
    ),
    Mutant(
        "slice advances the watermark",
        "a slice carries the watermark forward unchanged",
        batch_cases.change_elsewhere_than_the_slice,
        ((changes.watermark_after, 'operation == "slice"', "False"),),
    ),
    Mutant(
        "key not looked at",
        "keys are unique within a batch, checked before anything is deleted",
        batch_cases.key_that_repeats,
        (
            (queries.check_key, "if nulls or repeated:", "if False:"),
            (summarize._check_key, "if null_rows or twice:", "if False:"),
            (batch.check_keys, "if null or distinct != total:", "if False:"),
        ),
    ),
    # ---- the ledger
    Mutant(
        "head read after the snapshot",
        "the head of the chain is read before the snapshot",
        batch_cases.overtaken_by_another_sync,
        (
            (
                pipeline.one_pass,
                "            prepare(",
                "            works[:] = _read_heads(platform, asked)\n            prepare(",
            ),
        ),
    ),
    Mutant(
        "loser renumbers its batch",
        "a writer that loses the race extracts again",
        batch_cases.overtaken_by_another_sync,
        (
            (
                Ledger.commit,
                "        raise BatchConflict(",
                "        return self.commit(replace(manifest, sequence=manifest.sequence + 1,"
                " previous=standing.digest, digest=''))\n        raise BatchConflict(",
            ),
        ),
    ),
    Mutant(
        "loaded twice and out of order",
        "loading is strictly by sequence; a lower number is refused",
        batch_cases.loaded_by_another_sync,
        (
            (
                batch.follows,
                "    if sequence <= reached:",
                "    if sequence <= reached:\n        return True\n    if False:",
            ),
        ),
    ),
    Mutant(
        "two threads load at once",
        "a batch is loaded once",
        batch_cases.loaded_by_another_thread,
        ((load.load, "with records.WRITING:", "with suppress():"),),
    ),
    # ---- completeness
    Mutant(
        "verify mends nothing",
        "verify reads differing slices again",
        batch_cases.deletes_that_verify_finds,
        ((follow_up.follow_up, "not request.mend or", "True or"),),
    ),
)
