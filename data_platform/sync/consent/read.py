"""What one person agreed to: their answers in tables and those by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from data_platform.errors import ConfigurationError
from data_platform.privacy.consent.answers import Answer, newest, said
from data_platform.privacy.consent.config import Answers, ConsentBlock, FixedPurpose
from data_platform.privacy.subjects.graph import Subject
from data_platform.sync.consent.book import Book
from data_platform.sync.erasing.rows import conditions
from data_platform.sync.platform import Platform
from data_platform.sync.subjects import Asked, held, selection
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Consents:
    """Of the people with the consent ``keys``, the answer that holds for each purpose; None where there is none."""

    subject: Subject
    consent: ConsentBlock
    keys: frozenset[str]
    answers: Mapping[str, Answer | None]

    def agrees(self, purpose: str) -> bool:
        """Whether rows of the person may be used for ``purpose``."""
        answer, block = self.answers[purpose], self.consent.purposes[purpose]
        if answer is None:
            return block.otherwise == "granted"
        if block.otherwise == "granted":
            return answer.state == "granted"
        return answer.counts(block)


def consent_of(subject: Subject) -> ConsentBlock:
    """ConfigurationError where the catalog says nothing of it."""
    if subject.consent is None:
        raise ConfigurationError(
            f"The {subject.name} in catalog/subjects.yaml has no `consent`, so there is nothing to agree to. Add it: docs/consent.md."
        )
    return subject.consent


def consents(platform: Platform, subject: Subject, asked: Asked) -> Consents:
    """What the person whom ``asked`` names agreed to. ConfigurationError where nobody was found."""
    consent = consent_of(subject)
    with platform.warehouse(read_only=True) as warehouse:
        keys = _keys(platform, warehouse, subject, consent, asked)
        if not keys:
            raise ConfigurationError(
                f"No {subject.name} was found in {consent.place.table.raw_name}, so nobody's consent can be told or set."
            )
        there = {(one.schema, one.name) for one in warehouse.describe()}
        found = [
            answer
            for one in consent.from_
            if (one.id.raw_schema, one.id.table) in there
            for answer in _answers(warehouse, consent, one, keys)
        ]
    found += [
        decision.answer
        for decision, key in Book(platform).known()
        if key in keys and decision.subject == subject.name
    ]
    held_now = newest(found)
    return Consents(subject, consent, keys, {purpose: held_now.get(purpose) for purpose in consent.purposes})


def _keys(
    platform: Platform, warehouse: Warehouse, subject: Subject, consent: ConsentBlock, asked: Asked
) -> frozenset[str]:
    chosen = selection(platform, warehouse, held(warehouse, subject), asked)
    found: set[str] = set()
    for position, part in enumerate(chosen.parts):
        if part.table == consent.place.table:
            text = warehouse.dialect.try_cast(warehouse.dialect.quote(consent.place.column), "text")
            reading = chosen.reading(position, f"DISTINCT {text}")
            rows = warehouse.query(reading.sql, reading.bound).rows
            found |= {str(row[0]) for row in rows if row[0] is not None}
    return frozenset(found)


def _answers(
    warehouse: Warehouse, consent: ConsentBlock, one: Answers, keys: Collection[str]
) -> Iterator[Answer]:
    dialect = warehouse.dialect
    purpose = None if isinstance(one.purpose, FixedPurpose) else one.purpose
    named = [column for column in (purpose, one.state, one.version) if column is not None]
    texts = [dialect.try_cast(dialect.quote(column), "text") for column in named]
    target = relation(dialect, one.id.raw_schema, one.id.table)
    values = {consent.place: frozenset(keys)}
    for test in conditions(dialect, [(one.place, consent.place)], values):
        columns = ", ".join([dialect.micros(dialect.quote(one.at)), *texts])
        for at, *row in warehouse.query(f"SELECT {columns} FROM {target} WHERE {test}").rows:
            told = dict(zip(named, row, strict=True))
            about = one.purpose.value if isinstance(one.purpose, FixedPurpose) else told[one.purpose]
            if about in consent.purposes:
                when = None if at is None else _EPOCH + timedelta(microseconds=int(at))
                version = told.get(one.version) if one.version is not None else None
                yield Answer(str(about), said(told[one.state], one), version, when, one.table)
