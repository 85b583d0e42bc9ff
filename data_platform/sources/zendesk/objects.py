"""What Zendesk gives: each object's endpoint, how it is walked, its key, types and personal fields.

From Zendesk's reference of the Ticketing API (incremental exports; cursor pagination of lists).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Walked = Literal["cursor", "time", "list"]
"""By an incremental export with a cursor, by one with a time, or page by page with all there is."""
ID = "id"


@dataclass(frozen=True, slots=True)
class ZendeskObject:
    """``answer`` is the key of the records in an answer, where it is not the object's name. ``deleted`` is (field, value)
    of a record that names what was deleted; the value None means any but null. ``beside`` is (records, field) of a side-load that may come in a list of the answer or
    in a field of those records. ``personal`` is by path the treatment
    that a draft begins with."""

    name: str
    walked: Walked
    endpoint: str
    key: str = ID
    answer: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    deleted: tuple[str, Any] | None = None
    personal: Mapping[str, str] = field(default_factory=dict)
    newest_data: str = ""
    beside: tuple[str, str] | None = None

    @property
    def records(self) -> str:
        return self.answer or self.name


@dataclass(frozen=True, slots=True)
class Child:
    """A table of the elements of an array in the records of ``of``."""

    of: str
    path: str
    types: Mapping[str, str] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)


_MADE = {"created_at": "timestamp", "updated_at": "timestamp"}
_METRICS = (
    "assigned_at",
    "initially_assigned_at",
    "solved_at",
    "latest_comment_added_at",
    "status_updated_at",
    "assignee_updated_at",
    "requester_updated_at",
    "custom_status_updated_at",
)
_METRIC_SET = {ID: "bigint", "ticket_id": "bigint", **_MADE, **dict.fromkeys(_METRICS, "timestamp")}
_TICKET_TEXTS = {
    "subject": "redact",
    "raw_subject": "redact",
    "description": "redact",
    "recipient": "hash",
    "email_cc_ids": "keep",  # numbers of users
    "via.source.from.address": "hash",
    "via.source.from.name": "redact",
    "via.source.from.phone": "mask",
    "via.source.from.formatted_phone": "mask",
    "via.source.from.username": "hash",
    "via.source.to.address": "hash",
    "via.source.to.name": "redact",
    "via.source.to.phone": "mask",
    "via.source.to.formatted_phone": "mask",
    "satisfaction_rating.comment": "redact",
}
_COMMENT = {"body": "redact", "html_body": "redact", "plain_body": "redact"}


def _list(name: str, **more: Any) -> ZendeskObject:
    return ZendeskObject(name, "list", f"{name}.json", **{"types": _MADE, **more})


OBJECTS: Mapping[str, ZendeskObject] = {
    one.name: one
    for one in (
        ZendeskObject(
            "tickets",
            "cursor",
            "incremental/tickets/cursor.json",
            types={**_MADE, "due_at": "timestamp", "generated_timestamp": "epoch"},
            deleted=("status", "deleted"),
            personal=_TICKET_TEXTS,
            newest_data="generated_timestamp",
        ),
        ZendeskObject(
            "metric_sets",
            "cursor",
            "incremental/tickets/cursor.json",
            key="ticket_id",
            params={"include": "metric_sets"},
            beside=("tickets", "metric_set"),
            types=_METRIC_SET,
            newest_data="updated_at",
        ),
        ZendeskObject(
            "users",
            "cursor",
            "incremental/users/cursor.json",
            types={**_MADE, "last_login_at": "timestamp"},
            deleted=("active", False),
            personal={
                "name": "redact",
                "alias": "redact",
                "email": "hash",
                "phone": "mask",
                "shared_phone_number": "keep",  # whether others have the phone too
                "signature": "redact",
                "details": "redact",
                "notes": "redact",
                "photo": "redact",
                "remote_photo_url": "redact",
            },
        ),
        ZendeskObject(
            "organizations",
            "time",
            "incremental/organizations.json",
            types={**_MADE, "deleted_at": "timestamp"},
            deleted=("deleted_at", None),
            personal={"details": "redact", "notes": "redact"},
        ),
        ZendeskObject(
            "ticket_events",
            "time",
            "incremental/ticket_events.json",
            types={"created_at": "timestamp", "timestamp": "epoch"},
            personal={
                "child_events.subject": "redact",
                "child_events.previous_value": "redact",
                **{f"child_events.{path}": treatment for path, treatment in _COMMENT.items()},
            },
            newest_data="created_at",
        ),
        ZendeskObject(
            "ticket_metric_events",
            "time",
            "incremental/ticket_metric_events.json",
            types={"time": "timestamp"},
            newest_data="time",
        ),
        _list("satisfaction_ratings", personal={"comment": "redact"}, newest_data="updated_at"),
        _list("macros"),
        _list("views"),
        _list("groups"),
        _list("brands"),
        _list("ticket_fields"),
        _list("group_memberships"),
        _list("organization_memberships"),
        _list("ticket_metrics", types=_METRIC_SET),
    )
}
"""By the name that a block of the catalog has, or gives under ``object``."""

CHILDREN: Mapping[str, Child] = {
    "ticket_custom_fields": Child("tickets", "custom_fields", {ID: "bigint", "value": "json"}),
    "ticket_child_events": Child(
        "ticket_events",
        "child_events",
        {ID: "bigint", "previous_value": "json", "created_at": "timestamp"},
        {"subject": "redact", "previous_value": "redact", **_COMMENT},
    ),
}
"""Blocks of these names need neither ``of`` nor ``path``."""
DRAFTED = (
    "tickets",
    "metric_sets",
    "users",
    "organizations",
    "ticket_events",
    "ticket_metric_events",
    "satisfaction_ratings",
    "groups",
    "macros",
    "views",
)
"""What a draft names."""
