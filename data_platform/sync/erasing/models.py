"""Models that are made of a person's rows and hand on no key are clean once they were built again, and the warehouse's file after that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from data_platform.errors import LandingError
from data_platform.privacy.erasure.requests import MODELS, Request
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.scan import models_holding
from data_platform.sync.erasing.traces import write_again
from data_platform.sync.platform import Platform


def settle_built(platform: Platform, built: Mapping[str, datetime]) -> list[Request]:
    """Finish the requests of which all models were built since, by when the graph ``built`` each (``schema.name``, in lower case), and hold none of
    the texts that were searched for; which these are. A model that only a full build makes again is waited for until somebody says so
    (``settle``)."""
    book = Book(platform)
    clean = [
        one
        for one in book.read().requests.values()
        if _is_built(one, built) and not _holding(platform, book, one)
    ]
    _settled(platform, clean, "the graph built them")
    return clean


def settle(platform: Platform, requests: Iterable[Request], by: str) -> None:
    """Write down that the models of ``requests`` were built again, as ``by`` says, once their old rows can be read in no file any more.
    LandingError where one still holds a text that was searched for."""
    book = Book(platform)
    waiting = [one for one in requests if one.next_step is None and any(one.unbuilt)]
    for one in waiting:
        if held := _holding(platform, book, one):
            raise LandingError(
                f"{', '.join(held)} still holds somebody of the request {one.id}. Build it in full"
                f" (dbt build --full-refresh --select {' '.join(name.rpartition('.')[2] for name in held)}; a snapshot has to be dropped"
                " first), then say so again."
            )
    _settled(platform, waiting, by)


def _holding(platform: Platform, book: Book, request: Request) -> list[str]:
    _, needles = book.opened(request.sealed)
    return models_holding(platform, [name for some in request.unbuilt for name in some], needles)


def _settled(platform: Platform, requests: Sequence[Request], by: str) -> None:
    if requests:
        said = {**write_again(platform), "said_by": by}
        Book(platform).log.append([one.finished(MODELS, said) for one in requests])


def _is_built(request: Request, built: Mapping[str, datetime]) -> bool:
    names, lasting = request.unbuilt
    gone = request.done.get("scan")
    if gone is None or not names or lasting:
        return False
    since = datetime.fromisoformat(gone["at"])
    return all((at := built.get(name.lower())) is not None and at > since for name in names)
