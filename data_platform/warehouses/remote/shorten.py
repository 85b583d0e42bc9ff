"""Removes records of a warehouse behind a connection that newer ones have replaced.

Loads go on meanwhile and only add records. A row goes where a row that stays says more, so no view changes and no guard
does: the newest records of a table stay, and so do the turns of batches that are not loaded.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

from data_platform.errors import WarehouseError
from data_platform.warehouses.remote import records
from data_platform.warehouses.remote.engine import Session, Transaction
from data_platform.warehouses.remote.grammar import Grammar

GONE = "records removed"
TABLES_GONE = "tables of killed loads removed"


def shorten(session: Session, grammar: Grammar, commit: Callable[[Transaction], None]) -> Mapping[str, int]:
    """What was done, by what it was; ``commit`` runs a transaction until it is committed."""
    replaced = _replaced(grammar)
    questions = [
        f"SELECT count(*) AS n FROM {records.relation(grammar, log)} WHERE {condition}"
        for log, condition in replaced.items()
    ]
    counted = session.ask(f"SELECT sum(n) FROM ({' UNION ALL '.join(questions)}) c").rows
    done = {GONE: int(counted[0][0] or 0)}
    if not grammar.transactional_ddl:
        done[TABLES_GONE] = _unbuilt(session, grammar, replaced[records.TURNS])
    if done[GONE]:
        deletes = tuple(
            f"DELETE FROM {records.relation(grammar, log)} WHERE {condition}"
            for log, condition in replaced.items()
        )
        commit(Transaction(f"shorten_{uuid.uuid4().hex}", (), "", deletes))
    return done


def _replaced(grammar: Grammar) -> dict[str, str]:
    """The condition of the rows that may go, by log. Nothing in them has another name: Redshift deletes without an alias."""
    quote = grammar.quote
    source, table, sequence = (quote(name) for name in ("source", "table", "sequence"))
    loaded, reads = (records.relation(grammar, name) for name in (records.LOADED, records.READS))
    evaluated, evaluated_at = records.relation(grammar, records.EVALUATED_LOG), quote("evaluated_at")
    instants = list(map(quote, records.INSTANTS))
    latest = ", ".join(f"{name} AS i{n}" for n, name in enumerate(instants))
    older = " AND ".join(f"({name} IS NULL OR {name} < m.i{n})" for n, name in enumerate(instants))

    def met(rows: str, condition: str) -> str:
        return f"EXISTS (SELECT 1 FROM ({rows}) m WHERE m.s = {source} AND m.t = {table} AND {condition})"

    def newest(column: str, log: str) -> str:
        return f"SELECT {source} AS s, {table} AS t, max({column}) AS n FROM {log} GROUP BY {source}, {table}"

    found = {
        records.READ_LOG: met(f"SELECT {source} AS s, {table} AS t, {latest} FROM {reads}", older),
        records.EVALUATED_LOG: met(newest(evaluated_at, evaluated), f"{evaluated_at} < m.n"),
    }
    if not grammar.transactional_ddl:
        found[records.TURNS] = met(newest(sequence, loaded), f"{sequence} <= m.n")
    return found


def _unbuilt(session: Session, grammar: Grammar, finished: str) -> int:
    """Drops what attempts made whose batch is loaded: a killed process could not. The tables of a stage may have expired."""
    turns = records.relation(grammar, records.TURNS)
    attempts = session.ask(f"SELECT DISTINCT {grammar.quote('attempt')} FROM {turns} WHERE {finished}").rows
    for (attempt,) in attempts:
        with suppress(WarehouseError):
            session.define(grammar.unbuild(attempt))
    return len(attempts)
