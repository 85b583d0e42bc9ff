"""Verifies that the stored parts of a batch match its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from data_platform.errors import ObjectDamaged, PartDamaged, PartExpired, PartReplaced
from data_platform.landing import replaced, words
from data_platform.landing.chain import Chain
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part, sha256_of
from data_platform.stores import Store
from data_platform.tables import TableId

T = TypeVar("T")
TRIES = 10


def again_if_replaced(act: Callable[[], T]) -> T:
    """Do ``act``, which asks the ledger for the current parts first; do it again where a redaction replaced one of them before it was read."""
    for _ in range(TRIES - 1):
        try:
            return act()
        except PartReplaced:
            continue
    return act()


def is_replaced(chain: Chain, table: TableId, part: Part) -> bool:
    """Whether ``part`` is gone from the store because a redaction replaced it, as the ledger says now."""
    try:
        chain.store.size(part.key)
    except KeyError:
        now = Chain(chain.store, chain.environ, chain.signer)  # not what ``chain`` may have read ahead
        return part.key in now.rewrites(table).by_old_key
    return False


@contextmanager
def open_parts(chain: Chain, manifest: Manifest, verified: bool = False) -> Iterator[list[Path]]:
    """The batch's parts as local files. ``PartDamaged`` names the table, the batch and the part
    that is missing, short or altered; ``PartExpired`` the batch whose parts the catalog's rule deleted.
    ``verified`` says that this process has just written and hashed them, so that only their sizes are
    compared."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_part(chain, manifest, part, verified)) for part in manifest.parts]


def addresses(store: Store, manifest: Manifest) -> tuple[str, ...]:
    """Where an engine of the cloud finds the batch's parts, in their order; none where the store is no bucket."""
    found = [store.address(part.key) for part in manifest.parts]
    return tuple(address for address in found if address is not None)


@contextmanager
def open_part(chain: Chain, manifest: Manifest, part: Part, verified: bool = False) -> Iterator[Path]:
    """One part of ``open_parts``, or the object of the batch's quarantine. ``PartReplaced`` where it cannot be read, or whoever reads it
    fails, and a redaction has replaced it since the ledger was asked."""
    try:
        with _opened(chain, manifest, part, verified) as path:
            yield path
    except PartExpired:
        raise
    except Exception:
        if is_replaced(chain, manifest.table, part):
            raise PartReplaced(words.replaced(manifest, part)) from None
        raise


@contextmanager
def _opened(chain: Chain, manifest: Manifest, part: Part, verified: bool) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            path = stack.enter_context(chain.store.local(part.key))
        except KeyError:
            kept_from = replaced.kept_from(chain.store, manifest.table, chain.signer)
            if manifest.sequence < kept_from:
                raise PartExpired(words.expired(manifest, kept_from)) from None
            raise PartDamaged(words.damaged(manifest, part, "is missing")) from None
        if (size := path.stat().st_size) != part.bytes:
            raise PartDamaged(words.damaged(manifest, part, words.size_is(size, part)))
        if not verified and sha256_of(path) != part.sha256:
            raise PartDamaged(words.damaged(manifest, part, words.ALTERED))
        yield path


def damage_of(store: Store, manifest: Manifest, part: Part) -> str | None:
    """The damage of a stored part, which is read and hashed; None if it is intact."""
    try:
        size = store.size(part.key)
        if size != part.bytes:
            return words.damaged(manifest, part, words.size_is(size, part))
        with store.local(part.key) as path:
            if sha256_of(path) != part.sha256:
                return words.damaged(manifest, part, words.ALTERED)
    except KeyError:
        return words.damaged(manifest, part, "is missing")
    except ObjectDamaged:
        return words.damaged(manifest, part, "does not arrive as the store holds it")
    except OSError as error:
        return words.damaged(manifest, part, f"cannot be read ({error.strerror or type(error).__name__})")
    return None
