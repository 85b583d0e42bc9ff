"""``catalog/subjects.yaml`` read, and held against the tables that it names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from data_platform.catalog.environment import EnvironmentSettings
from data_platform.catalog.mistakes import Mistake, Report, did_you_mean, validated
from data_platform.catalog.source import Source
from data_platform.catalog.table import Table
from data_platform.privacy.documents import path_of
from data_platform.privacy.subjects.config import SubjectsFile
from data_platform.privacy.subjects.graph import Link, Subject
from data_platform.privacy.subjects.place import Place
from data_platform.tables import TableId

SUBJECTS_FILE = "catalog/subjects.yaml"


def read_subjects(
    root: Path,
    sources: Mapping[str, Source],
    unread: Collection[str],
    read: Callable[[Path, str], Report | None],
    schema: Callable[[], Mapping[str, object]],
    mistakes: list[Mistake],
    questions: list[Mistake],
) -> dict[str, Subject]:
    """The kinds of people, by name; none where there is no such file. Mistakes are added to ``mistakes``. Of sources that are ``unread``,
    since their files have mistakes, nothing is known. What is said of sources that the catalog has not is left out, which is one of the
    ``questions``: a company without Zendesk need not rewrite the file."""
    path = root / SUBJECTS_FILE
    report = read(path, SUBJECTS_FILE) if path.is_file() else None
    if report is None:
        return {}
    file = validated(SubjectsFile, report.document.data, schema, report)
    tables = {table.id: table for source in sources.values() for table in source.tables.values()}
    found: dict[str, Subject] = {}
    for name, block in (file.subjects if file is not None else {}).items():
        subject = Subject.of(name, block)
        absent = {place.table.source for place in _named(subject)} - sources.keys() - set(unread)
        if absent:
            report.ask(
                ("subjects", name),
                f"names {', '.join(sorted(absent))}, of which the catalog has no file, so its lookups and links are left out",
            )
        subject = _without(subject, {*unread, *absent})
        if subject.places:
            _check(subject, tables, report)
            _check_consent(subject, tables, report)
            for purpose in subject.consent.purposes if subject.consent is not None else ():
                if other := next(
                    (one.name for one in found.values() if one.consent and purpose in one.consent.purposes),
                    None,
                ):
                    report.add(
                        ("subjects", name, "consent", "purposes", purpose),
                        f"is a purpose of {other} too. A model names its purpose alone, so give each kind of people its own",
                    )
            found[name] = subject
    mistakes += report.mistakes.values()
    questions += report.questions
    return {} if report.mistakes else found


def check_exports(
    environments: Mapping[str, EnvironmentSettings], subjects: Mapping[str, Subject], report: Report
) -> None:
    """Report each export of an environment whose purpose no kind of people has."""
    known = {
        purpose for one in subjects.values() if one.consent is not None for purpose in one.consent.purposes
    }
    for name, environment in environments.items():
        for key, export in (("publish", environment.publish), ("iceberg", environment.iceberg)):
            if export is not None and export.purpose is not None and export.purpose not in known:
                report.add(
                    ("environments", name, key, "purpose"),
                    f"is {export.purpose}, which {SUBJECTS_FILE} does not have.{did_you_mean(export.purpose, known)}",
                )


def _without(subject: Subject, sources: Collection[str]) -> Subject:
    return subject.within({place.table for place in _named(subject) if place.table.source not in sources})


def _named(subject: Subject) -> frozenset[Place]:
    return subject.places | subject.consent_places


def treatment_of(place: Place, table: Table) -> str:
    """How what is at ``place`` landed: by its own treatment, or that of what is around it."""
    at = (place.column, *place.path)
    for key, treatment in table.treatments.items():
        path = path_of(key, {place.column})
        if path == at[: len(path)] and treatment != "keep":
            return treatment
    return "keep"


def _check(subject: Subject, tables: Mapping[TableId, Table], report: Report) -> None:
    base = ("subjects", subject.name)
    for called, places in subject.lookups.items():
        for place in places:
            if problem := _unusable(place, tables):
                report.add((*base, "lookups", called), problem)
    for link in subject.links:
        for problem in _wrong(link, tables):
            report.add((*base, "links", _written(link, report, base)), problem)
    if report.has(base):
        return
    if circle := subject.circle():
        report.add(
            (*base, "links"),
            f"lead in a circle: {' -> '.join(map(str, circle))}. Leave out the link by which a row would point back to the person it"
            " was found by",
        )
    elif unreached := subject.unreached():
        report.add(
            (*base, "links"),
            f"lead to {', '.join(map(str, unreached))}, and no lookup leads to what they follow from. Add a lookup, or a link to it",
        )


def _check_consent(subject: Subject, tables: Mapping[TableId, Table], report: Report) -> None:
    """The key and the tables with answers: each must be there, and lead to the key."""
    consent = subject.consent
    if consent is None:
        return
    base = ("subjects", subject.name, "consent")
    if problem := _unusable(consent.place, tables):
        report.add((*base, "key"), problem)
    elif consent.place.path:
        report.add((*base, "key"), "names a value within JSON; choose a column")
    linked = {link.child for link in subject.links if link.parent == consent.place}
    for number, one in enumerate(consent.from_):
        where = (*base, "from", number)
        if problem := _unusable(one.place, tables):
            report.add(where, problem)
        elif one.place != consent.place and one.place not in linked:
            report.add(
                where,
                f"says whose answers they are by {one.place}, which is not linked to the key {consent.place}. Add a link",
            )


def _written(link: Link, report: Report, base: tuple[str, ...]) -> str:
    """The key of a link as the file spells it."""
    data = report.document.data["subjects"][base[1]].get("links", {})
    return next((key for key in data if Place.parse(key) == link.child), str(link.child))


def _wrong(link: Link, tables: Mapping[TableId, Table]) -> Iterator[str]:
    for place in (link.child, link.parent):
        if problem := _unusable(place, tables):
            yield problem
            return
    if link.child.table == link.parent.table:
        yield "links a table to itself, and the rows of one person would lead to those of others"
        return
    mine, theirs = (treatment_of(place, tables[place.table]) for place in (link.child, link.parent))
    if mine != theirs:
        yield (
            f"compares {link.child} ({mine}) with {link.parent} ({theirs}): both must land in clear, or both as hash"
        )


def _unusable(place: Place, tables: Mapping[TableId, Table]) -> str | None:
    """Why nobody can be found by ``place``."""
    table = tables.get(place.table)
    if table is None:
        near = did_you_mean(str(place.table), map(str, tables))
        return f"names {place.table}, which is no table of the catalog.{near}"
    if table.only and place.column not in table.only:
        return f"names {place}, which is not read because `only` leaves it out"
    treatment = treatment_of(place, table)
    if treatment not in ("keep", "hash"):
        return (
            f"names {place}, which lands under `{treatment}`: its values do not tell people apart. Choose a column that lands in"
            " clear, or as hash"
        )
    return None
