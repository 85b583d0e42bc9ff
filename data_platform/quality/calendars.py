"""Public holidays by country and region, as a key of the catalog. The library is imported when a place is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field


@lru_cache(maxsize=256)
def public_holidays(place: str, year: int) -> Mapping[date, str]:
    """Days with their names; ``place`` is a country (``DE``) or a country and a region (``DE-BY``). ValueError if it is
    not known."""
    from holidays import country_holidays

    country, _, region = place.partition("-")
    try:
        found: Mapping[date, str] = country_holidays(country, subdiv=region or None, years=year)
    except NotImplementedError:
        raise ValueError(
            "is no country or region whose public holidays are known; write ISO codes, such as DE or DE-BY"
        ) from None
    return found


def _known(place: str) -> str:
    public_holidays(place, 2024)
    return place


Place = Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"), AfterValidator(_known)]
