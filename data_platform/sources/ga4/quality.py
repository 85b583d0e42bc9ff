"""How good the numbers of a day are, as the report's metadata says: columns of its rows, and notes."""

from __future__ import annotations

from typing import Any

from data_platform.sources.ga4 import keys
from data_platform.tables import Json


def columns_of(metadata: Any, *, partial: bool) -> dict[str, Json]:
    """The columns of each row of a day; ``metadata`` is a protobuf ``ResponseMetaData``."""
    samples = list(metadata.sampling_metadatas)
    return {
        keys.PARTIAL: partial,
        keys.SAMPLED: bool(samples),
        keys.READ: sum(one.samples_read_count for one in samples) if samples else None,
        keys.SPACE: sum(one.sampling_space_size for one in samples) if samples else None,
        keys.WITHHELD: metadata.subject_to_thresholding,
        keys.OTHER: metadata.data_loss_from_other_row,
        keys.TRUNCATED: bool(metadata.data_truncation_reasons),
        keys.RESTRICTED: bool(metadata.schema_restriction_response.active_metric_restrictions),
        keys.CURRENCY: metadata.currency_code or None,
    }


def notes_of(day: str, metadata: Any, columns: dict[str, Json]) -> list[str]:
    """What of a day is worth telling; nothing for a day that is complete."""
    notes = []
    if columns[keys.PARTIAL]:
        notes.append(f"{day} is not over in the property's time zone: its rows are partial")
    if columns[keys.SAMPLED]:
        notes.append(f"{day} is sampled: {columns[keys.READ]:,} of {columns[keys.SPACE]:,} events were read")
    if columns[keys.WITHHELD]:
        notes.append(f"{day} is thresholded: Google may withhold rows of few users")
    if columns[keys.OTHER]:
        notes.append(f"{day} has an (other) row: it had too many different values")
    for reason in metadata.data_truncation_reasons:
        notes.append(f"{day} is truncated: {_line(reason.data_truncation_message)}")
    restricted = metadata.schema_restriction_response.active_metric_restrictions
    if restricted:
        names = ", ".join(one.metric_name for one in restricted)
        notes.append(f"{day}: the account may not see {names}, which are zero")
    if metadata.empty_reason:
        notes.append(f"{day} is empty: {_line(metadata.empty_reason)}")
    return notes


def _line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "no reason was given"
