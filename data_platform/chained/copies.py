"""How far a log reaches, signed, and the log's second copy in another store.

Nobody who can only delete or rewrite the log's own store can then shorten it, or write it again from some entry on,
without being noticed. ``_NAME/heads/TIME-NUMBER.json`` is one signed head; heads are never overwritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from data_platform.chained.block import Block
from data_platform.chained.log import BLOCKS_AT_ONCE, Log, Mark, groups, mark_fields, mark_of
from data_platform.errors import LedgerBroken
from data_platform.landing.part import canonical
from data_platform.stores import Store

PURPOSE = "log head"


def sign_head(log: Log, stores: Sequence[Store]) -> Mark:
    """Sign how far ``log`` reaches now, and keep that beside it and in each of ``stores``. An empty mark for an empty log."""
    log.signer.ready()
    block = log.head()
    if block is None:
        return Mark()
    at = log.clock()
    fields = {"log": log.name, **mark_fields(block, at)}
    signature = log.signer.sign(PURPOSE, _digest(fields))
    data = canonical({**fields, "signature": signature})
    key = f"{_folder(log)}/{at:%Y%m%dT%H%M%SZ}-{block.number:012d}.json"
    for store in (log.store, *stores):
        store.put_new(key, data)
    return mark_of(fields, "")


def heads(log: Log, store: Store, after: int) -> tuple[list[Mark], list[str]]:
    """The newest head in ``store``, with those of blocks above ``after``; and what is wrong with others that are there."""
    keys = [key for key in store.list(_folder(log)) if _number(key) is not None]
    wanted = [key for key in keys if (_number(key) or 0) > after]
    newest = max(keys, key=lambda key: (_number(key), key), default=None)
    if newest is not None and newest not in wanted:
        wanted.append(newest)
    marks, problems = [], []
    for group in groups(wanted, BLOCKS_AT_ONCE):
        for key, data in zip(group, store.together([partial(store.read, key) for key in group]), strict=True):
            mark = _head(log, store, data)
            if mark is None:
                problems.append(
                    f"{key} in {store.url} is no head of the log {log.name} that this platform signed: it was edited or forged."
                    " Find out who wrote it, and move it away."
                )
            else:
                marks.append(mark)
    return marks, problems


def copy(log: Log, store: Store) -> int:
    """Add to the copy in ``store`` the blocks that it lacks; gives how many. LedgerBroken if it is a copy of another log, or
    has blocks that the log lost."""
    other = Log(store, log.name, log.signer, log.clock)
    last, there = log.last(), other.last()
    if there:
        theirs = other.read(there)
        if there > last:
            raise LedgerBroken(
                log.lost(last, Mark(there, theirs.last, theirs.digest, how=f"is in {store.url}"))
            )
        if log.read(there).digest != theirs.digest:
            raise LedgerBroken(log.replaced(Mark(there, digest=theirs.digest, how=f"is in {store.url}")))
    begin = max(0, there - BLOCKS_AT_ONCE)  # a killed copy may have left gaps in its last group
    before: Block | None = log.read(begin) if begin else None
    for group in groups(log.fetch(range(begin + 1, last + 1)), BLOCKS_AT_ONCE):
        for number, data in group:
            block = log.checked(number, data)
            if problem := log.link_problem(before, block):
                raise LedgerBroken(problem)
            before = block
        store.together([partial(store.put_new, log.key(number), data or b"") for number, data in group])
    return last - there


def restore(log: Log, store: Store) -> list[int]:
    """Put back, from the copy in ``store``, the blocks of ``log`` that are missing or unreadable; gives their numbers. A block
    that is whole, though another one than the copy's, is left: LedgerBroken names it."""
    other = Log(store, log.name, log.signer, log.clock)
    restored, before = list[int](), None
    for (number, copied), (_, own) in zip(
        other.fetch(range(1, other.last() + 1)),
        log.fetch(range(1, other.last() + 1), packed=False),
        strict=True,
    ):
        block = other.checked(number, copied)
        if problem := other.link_problem(before, block):
            raise LedgerBroken(problem)
        before = block
        standing = None
        with suppress(LedgerBroken):
            standing = log.checked(number, own)
        if standing is None:
            log.store.delete(log.key(number))
            log.store.put_new(log.key(number), copied or b"")
            restored.append(number)
        elif standing.digest != block.digest:
            raise LedgerBroken(log.replaced(Mark(number, digest=block.digest, how=f"is in {store.url}")))
    return restored


def _head(log: Log, store: Store, data: bytes) -> Mark | None:
    try:
        fields = json.loads(data)
        signature = fields.pop("signature")
        mark = mark_of(fields, f"was the newest in the head in {store.url}", newest=True)
        signed = not log.signer.signs or log.signer.accepts(PURPOSE, _digest(fields), signature)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return mark if mark.number and signed and fields.get("log") == log.name else None


def _digest(fields: dict[str, object]) -> str:
    return hashlib.sha256(canonical(fields)).hexdigest()


def _folder(log: Log) -> str:
    return f"{log.folder}/heads"


def _number(key: str) -> int | None:
    number = key.rsplit("-", 1)[-1].removesuffix(".json")
    return int(number) if number.isdecimal() else None
