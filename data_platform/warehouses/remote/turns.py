"""Who may put a table in the place of a raw table, where DDL is no part of a transaction.

Between a guard and the exchange that it allows, another process may load the batch, and the next one. The exchange would then
put older rows in the place of theirs. So an attempt takes a turn first: a row of ``exchanges``, which a transaction under the
table's lock adds. Each attempt makes its new table under a name of its own, and one that takes a turn drops what the
turns before it made. Three facts follow:

1. A transaction is guarded by the turns, too. Once a turn is taken, only an attempt with a later turn can load the batch.
2. An attempt is guarded after it made its table, so a later turn finds that table and drops it.
3. An exchange whose table is gone fails in the engine, in its one statement, however late it comes.

An exchange of an earlier turn therefore happens before the batch is recorded, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data_platform.tables import TableId
from data_platform.warehouses.remote import records
from data_platform.warehouses.remote.engine import Overtaken, Session
from data_platform.warehouses.remote.grammar import Grammar


class Turn:
    """One attempt to load a batch into ``table``, whose newest loaded batch is the one of ``reached``. ``attempt`` is its name: letters,
    digits and ``_``."""

    def __init__(
        self, session: Session, grammar: Grammar, table: TableId, reached: int, attempt: str
    ) -> None:
        self._session, self._grammar = session, grammar
        self.table, self.reached, self.attempt = table, reached, attempt
        self.begun = self.taken = False
        """Whether a turn was asked for, and whether this attempt has the latest, as far as is known."""

    def guard(self) -> str:
        """True as long as no other load of the table was first, and no later turn was taken."""
        return records.guard(self._grammar, self.table, self.reached, self.attempt if self.taken else None)

    def contested(self, before: Sequence[Turn]) -> bool:
        """Whether an attempt has taken a turn and did not load its batch, as far as is known. ``Overtaken`` where one of ``before``,
        the same process's, had a turn and another process took a later one, which is at work: two that overtook
        each other would go on for ever. A turn that was there before may be a dead process's."""
        if self._grammar.transactional_ddl:
            return False
        turns = records.turns(self._session, self._grammar, self.table, self.reached)
        own = {turn.attempt for turn in before if turn.begun}
        if not own.isdisjoint(turns) and turns[-1] not in own:
            raise Overtaken("Another load of the table is at work.")
        return bool(turns)

    def take(self, commit: Callable[[Sequence[str], str], None]) -> None:
        """``commit(statements, guard)`` runs them in one transaction under the lock of the table. ``Overtaken`` where another
        attempt took a turn at the same time."""
        if self.taken or self._grammar.transactional_ddl:
            return
        taken = records.insert_turn(self._grammar, self.table, self.reached, self.attempt)
        self.begun = True
        commit([taken], records.reached(self._grammar, self.table, self.reached))
        turns = records.turns(self._session, self._grammar, self.table, self.reached)
        if not turns or turns[-1] != self.attempt:
            raise Overtaken("Another load of the table was first.")
        for other in dict.fromkeys(turns):
            if other != self.attempt:
                self._session.define(self._grammar.unbuild(other))
        self.taken = True
