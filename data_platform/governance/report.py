"""The record of processing activities that Art. 30 of the GDPR asks for, as far as the catalog says it. Pure.

What the catalog does not say is listed as a gap and never made up. No value of a row and no secret is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from data_platform.catalog import Catalog
from data_platform.catalog.environment import Environment
from data_platform.catalog.source import Source
from data_platform.catalog.table import Table
from data_platform.governance.classes import Classes
from data_platform.privacy.classes import NONE, class_of
from data_platform.tables import NOT_PERSONAL
from data_platform.warehouses.publishing import Leaving
from data_platform.words import plural

Record = dict[str, Any]
PLACES = (
    "path", "bucket", "project", "account", "host", "database", "data", "prefix", "endpoint_url", "url",
)  # fmt: skip
REGIONS = ("region", "location")
"""The keys of a place's block that say where it is, of any kind."""
NOT_SAID = "not said in the catalog"


def record(catalog: Catalog, environment: Environment, classes: Classes, now: datetime) -> Record:
    """For JSON, in the order of Art. 30(1)."""
    activities = [_activity(catalog, source) for source in catalog.sources.values()]
    places = list(_places(environment))
    made: Record = {
        "environment": environment.name,
        "written_at": now.isoformat(timespec="seconds"),
        "controller": _dump(catalog.privacy.controller),
        "officer": _dump(catalog.privacy.officer),
        "activities": activities,
        "consents": list(_consents(catalog)),
        "read_by_people": _marts(catalog, classes),
        "recipients": list(_recipients(environment)),
        "places": places,
        "retention": list(_retention(catalog, environment)),
        "safeguards": list(_safeguards(catalog, environment)),
    }
    made["gaps"] = list(_gaps(catalog, activities, places, classes))
    return made


def _activity(catalog: Catalog, source: Source) -> Record:
    said = catalog.privacy.processing.get(source.name)
    tables = [one for table in source.tables.values() if (one := _table(table))["data"]]
    found = {each["class"] for table in tables for each in table["data"]}
    return {
        "source": source.name,
        "system": source.of_kind.title,
        "description": source.description,
        "owner": source.owner,
        "purpose": said.purpose if said else None,
        "people": list(said.people) if said else [],
        "basis": said.basis if said else None,
        "retention": said.retention if said else None,
        "classes": sorted(found),
        "tables": tables,
    }


def _table(table: Table) -> Record:
    """The declared columns. ``class`` is what is left of a value in the platform."""
    data = [
        {
            "column": key,
            "meaning": table.columns.get(key, ""),
            "treatment": how,
            "class": class_of(how) or "nothing left",
        }
        for key, how in table.personal.items()
        if how != NOT_PERSONAL
    ]
    return {"table": table.id.table, "description": table.description, "data": data}


def _consents(catalog: Catalog) -> Iterator[Record]:
    """What people are asked to agree to."""
    for subject in catalog.subjects.values():
        consent = subject.consent
        for name, purpose in consent.purposes.items() if consent is not None else ():
            yield {
                "people": subject.name,
                "purpose": name,
                "description": purpose.description,
                "versions": list(purpose.versions),
                "otherwise": purpose.otherwise,
                "answers": [one.table for one in consent.from_] if consent is not None else [],
            }


def _marts(catalog: Catalog, classes: Classes) -> list[Record]:
    wanted = set(catalog.privacy.declared_in)
    return [
        {
            "table": f"{one.schema}.{one.table}",
            "column": one.label,
            "class": one.class_,
            "sources": list(one.sources),
        }
        for one in classes.columns
        if {one.schema, f"{one.schema}.{one.table}"} & wanted and one.class_ != NONE
    ]


def _recipients(environment: Environment) -> Iterator[Record]:
    """Who is given data, or words about it, beyond the warehouse."""
    if (publish := environment.publish) is not None:
        yield {
            "what": "publication",
            "to": f"readers of {publish.path}" + (f", the group {publish.group}" if publish.group else ""),
            "data": ", ".join(publish.schemas),
            "note": _leaving(publish),
        }
    if (iceberg := environment.iceberg) is not None:
        yield {"what": "Iceberg", "to": f"engines that read {iceberg.location}", "data": ", ".join(iceberg.tables), "note": _leaving(iceberg)}  # fmt: skip
    if (page := environment.status_page) is not None and page.path is not None:
        yield {"what": "status page", "to": f"readers of {page.path}", "data": "sums and counts a day", "note": "no rows"}  # fmt: skip
    alone = {"slack": environment.alerts.slack} if environment.alerts.slack is not None else {}
    for name, channel in {**environment.alerts.channels, **alone}.items():
        note = "names of tables and columns, counts; no values"
        yield {"what": "alerts", "to": f"{name} ({channel.kind})", "data": "what failed", "note": note}
    backups = environment.backups
    if backups is not None:
        for name, store in {"primary": backups.store, **backups.copies}.items():
            yield {"what": "backups", "to": f"{name}: {_place(store)['place']}", "data": "everything that is stored", "note": ""}  # fmt: skip


def _leaving(said: Leaving) -> str:
    let_go = [*(said.classes or ()), *said.personal]
    return f"personal data: {', '.join(let_go)}" if let_go else "no personal data"


def _places(environment: Environment) -> Iterator[Record]:
    """Where data lies, with the region that the catalog says."""
    yield {"what": "landing store", **_place(environment.landing)}
    yield {"what": "warehouse", **_place(environment.warehouse)}
    if environment.publish is not None:
        yield {"what": "publication", "kind": "file", "place": str(environment.publish.path), "region": ON_THIS_MACHINE}  # fmt: skip
    if (iceberg := environment.iceberg) is not None:
        local = "://" not in iceberg.location
        region = ON_THIS_MACHINE if local else iceberg.s3.region or NOT_SAID
        yield {"what": "Iceberg", "kind": iceberg.catalog.kind, "place": iceberg.location, "region": region}
    if (backups := environment.backups) is not None:
        yield {"what": "backups", **_place(backups.store)}
        for name, store in backups.copies.items():
            yield {"what": f"backups: copy {name}", **_place(store)}
        if backups.archive is not None and backups.archive.cold is not None:
            yield {"what": "cold copy", **_place(backups.archive.cold.store)}


ON_THIS_MACHINE = "where this machine is"


def _place(config: Any) -> Record:
    """Of a store's or a warehouse's block, whatever its kind, what says where it is."""
    said: Mapping[str, Any] = config.model_dump(mode="json") if isinstance(config, BaseModel) else {}
    names = [str(said[key]) for key in PLACES if isinstance(said.get(key), str) and said[key]]
    regions = [str(said[key]) for key in REGIONS if said.get(key)]
    local = not regions and isinstance(said.get("path"), str)
    return {
        "kind": str(said.get("kind", "")),
        "place": ", ".join(names) or NOT_SAID,
        "region": ", ".join(regions) or (ON_THIS_MACHINE if local else NOT_SAID),
    }


def _retention(catalog: Catalog, environment: Environment) -> Iterator[Record]:
    ruled = catalog.ruled_by_retention()
    others = "other " if ruled else ""
    for table in ruled:
        yield {"what": str(table.id), "kept": _kept(table, environment)}
    yield {
        "what": f"{others}raw tables",
        "kept": "as long as the row is at its source, or the table in the catalog",
    }
    yield {
        "what": "landing store" + (", of the other tables" if ruled else ""),
        "kept": "for ever, apart from parts that a table's `keep_replaced_days` ends",
    }
    if (backups := environment.backups) is None:
        return
    days = backups.retention
    removed = "removed by the daily backup" if days.apply else "removed by hand"
    yield {"what": "backups", "kept": f"{days.days} days, then {removed}"}
    if backups.archive is not None:
        yield {"what": "archives", "kept": f"{backups.archive.keep_years} years"}
    if backups.snapshots is not None:
        yield {"what": "the engine's snapshots", "kept": f"{backups.snapshots.keep_days} days"}


def _kept(table: Table, environment: Environment) -> str:
    rule = table.retention
    assert rule is not None
    then = "deleted" if rule.then == "delete" else "anonymised"
    how = "each day" if environment.retention.apply else "by hand, with `data-platform retention apply`"
    why = f" Why: {rule.purpose}" if rule.purpose else ""
    return f"{rule.days} days from `{rule.by}`, then {then} {how}, in the landing store too.{why}"


def _safeguards(catalog: Catalog, environment: Environment) -> Iterator[str]:
    counts: dict[str, int] = {}
    for source in catalog.sources.values():
        for table in source.tables.values():
            for how in table.personal.values():
                counts[how] = counts.get(how, 0) + 1
    only_named = counts.pop(NOT_PERSONAL, 0)
    said = ", ".join(f"{how}: {number}" for how, number in sorted(counts.items()))
    yield f"Declared columns and values are treated before anything is written outside their source ({said or 'none declared'})."
    yield "A column that looks personal by its name and is not declared stops the sync of its table."
    if only_named:
        yield f"{plural(only_named, 'column')} {'is' if only_named == 1 else 'are'} declared not to be personal, though the name looks so."
    yield "In what people read, columns made of personal ones declare their class, or the build stops."
    yield "A sample of each text column is searched for undeclared personal data each day."
    yield "Files of the platform can be read by its own account alone; listeners bind to the loopback address."
    yield "Who exports a person's data, deletes backups or asks the warehouse is recorded in an append-only, chained log."
    if counts.get("seal") and environment.keystore is not None:
        yield "Sealed values open under a key of each person, in a keystore apart from all data; reading them in clear is recorded."
    if catalog.subjects:
        yield "A person is found over all sources, exported and erased; who was erased is kept out, and each erasure has a certificate."
    if catalog.asks_consent():
        yield "Models and exports for a purpose hold nobody who does not agree to it; each build proves it."
    if environment.retention.apply and catalog.ruled_by_retention():
        yield "Rows that are older than their table's rule leave the landing store, the warehouse and the copies each day."
    required = environment.signing.required
    if required or (required is None and environment.name == "prod"):
        yield "Manifests of landed data and of backups are signed; nothing lands without the key."
    if (backups := environment.backups) is not None:
        if backups.encryption is not None:
            yield "Backups are encrypted with age before they leave this machine."
        if backups.copies:
            yield f"Backups are kept in {1 + len(backups.copies)} stores, and restored as a test."
        else:
            yield "Backups are verified, and restored as a test."


def _gaps(
    catalog: Catalog, activities: list[Record], places: list[Record], classes: Classes
) -> Iterator[str]:
    """What the record needs and nobody said."""
    if catalog.privacy.controller is None:
        yield "Who is the controller? Write `privacy: controller: {name: ..., contact: ...}` in catalog/platform.yaml."
    for name in sorted(catalog.privacy.processing.keys() - catalog.sources.keys() - catalog.not_configured.keys()):  # fmt: skip
        yield f"`privacy: processing: {name}` is of no source in the catalog."
    for one in activities:
        if not one["tables"]:
            continue
        missing = [key for key in ("purpose", "people", "basis") if not one[key]]
        if missing:
            yield f"{one['source']}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not said under `privacy: processing:`."
    for place in places:
        if place["region"] == NOT_SAID:
            yield f"{place['what']}: the region of {place['place']} is not said, so whether data leaves for another country is not known."
    for question in catalog.questions:
        yield f"A guess about personal data is not confirmed: {question}"
    for table in catalog.without_subject() if catalog.subjects else ():
        yield f"{table}: no link of catalog/subjects.yaml says whose rows these are, so they are not found, exported or erased."
    for fault in classes.faults:
        yield fault.text


def _dump(config: BaseModel | None) -> Record | None:
    return config.model_dump(mode="json") if config is not None else None
