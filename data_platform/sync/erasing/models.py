"""Models that are made of a person's rows and hand on no key are clean once they were built again, and the warehouse's file after that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from data_platform.privacy.erasure.requests import MODELS, Request
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.traces import write_again
from data_platform.sync.platform import Platform


def settle_built(platform: Platform, built: Mapping[str, datetime]) -> list[Request]:
    """Finish the requests of which all models were built since, by when the graph ``built`` each (``schema.name``, in lower case); which
    these are. A model that only a full build makes again is waited for until somebody says so (``settle``)."""
    clean = [one for one in Book(platform).read().requests.values() if _is_built(one, built)]
    settle(platform, clean, "the graph built them")
    return clean


def settle(platform: Platform, requests: Iterable[Request], by: str) -> None:
    """Write down that the models of ``requests`` were built again, as ``by`` says, once their old rows can be read in no file any more."""
    waiting = [one for one in requests if one.next_step is None and any(one.unbuilt)]
    if waiting:
        said = {**write_again(platform), "said_by": by}
        Book(platform).log.append([one.finished(MODELS, said) for one in waiting])


def _is_built(request: Request, built: Mapping[str, datetime]) -> bool:
    names, lasting = request.unbuilt
    if request.next_step is not None or not names or lasting:
        return False
    gone = datetime.fromisoformat(request.done["warehouse"]["at"])
    return all((at := built.get(name.lower())) is not None and at > gone for name in names)
