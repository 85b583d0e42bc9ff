"""Which columns of people a publication or an export takes, or leaves out, without its block in the catalog saying so. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from data_platform.catalog.environment import Environment
from data_platform.privacy.leaving import Carried, Name, not_said, sentence
from data_platform.privacy.purposes import Exportable


def unsaid_exports(
    environments: Mapping[str, Environment], known: Exportable, views: Collection[Name]
) -> list[str]:
    """A sentence for each such column, with its environment. ``views`` are not exported to Iceberg. A publication that says its classes
    leaves the others out on purpose."""
    carried = known.carried() if any(one.publish or one.iceberg for one in environments.values()) else {}
    found: dict[str, list[str]] = {}
    for name, environment in environments.items():
        for text in _of(environment, known, carried, views):
            found.setdefault(text, []).append(name)
    return [
        f"Environment{'s' if len(names) > 1 else ''} {', '.join(names)}: {text}"
        for text, names in found.items()
    ]


def _of(
    environment: Environment,
    known: Exportable,
    carried: Mapping[Name, Mapping[str, Carried]],
    views: Collection[Name],
) -> Iterator[str]:
    publish, iceberg = environment.publish, environment.iceberg
    if publish is not None and publish.classes is None:
        named = [place for place in carried if ".".join(place) in publish.schemas]
        apart = known.withheld(publish.purpose, list(carried), named)
        for place in sorted(carried.keys() - apart):
            if {place[0], ".".join(place)} & set(publish.schemas):
                found = not_said(publish, place, sorted(carried[place]), carried[place])
                yield from (sentence("publish", place, column, one) for column, one in found.items())
    if iceberg is not None:
        named = [place for place in carried if ".".join(place) in iceberg.tables]
        apart = known.withheld(iceberg.purpose, list(carried), named)
        for place in sorted(carried.keys() - apart - set(views)):
            if iceberg.exports(*place):
                found = not_said(iceberg, place, sorted(carried[place]), carried[place])
                yield from (sentence("iceberg", place, column, one) for column, one in found.items())
