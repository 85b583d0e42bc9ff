"""The records as Zendesk's API shows them, and what a step changes in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from data_platform.sandbox.services.zendesk.lifecycle import (
    AGENTS_FROM,
    COMPANIES_FROM,
    GROUP,
    ORDER_FIELD,
    REASON_FIELD,
    USERS_FROM,
    Step,
)

Record = dict[str, Any]
SCRUBBED = "SCRUBBED"
STATUS_AFTER = {"assign": "open", "answer": "pending", "ask": "open", "solve": "solved", "close": "closed", "delete": "deleted"}  # fmt: skip


def moment(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def user(row: Mapping[str, Any], at: float) -> Record:
    """An end user, of the shop's row; ``at`` is when it came to Zendesk or changed there."""
    name = " ".join(part for part in (row["first_name"], row["last_name"]) if part)
    return {
        "id": USERS_FROM + row["user_id"], "url": f"/api/v2/users/{USERS_FROM + row['user_id']}.json", "name": name,
        "email": row["email"], "phone": row["phone"], "external_id": str(row["user_id"]), "role": "end-user",
        "active": True, "verified": True, "suspended": False, "shared": False, "locale": "en-US", "locale_id": 1,
        "time_zone": "Eastern Time (US & Canada)", "iana_time_zone": "America/New_York", "tags": [],
        "organization_id": COMPANIES_FROM + row["user_id"] % 40 if row["segment"] == "business" else None,
        "user_fields": {"country": row["country"]}, "details": "", "notes": "", "alias": None, "photo": None,
        "created_at": moment(at), "updated_at": moment(at), "last_login_at": None,
    }  # fmt: skip


def agent(number: int, at: float) -> Record:
    row = {"user_id": 0, "first_name": "Agent", "last_name": str(number + 1), "email": f"agent{number + 1}@shop.example", "phone": None, "segment": None, "country": None}  # fmt: skip
    id_ = AGENTS_FROM + number
    changes = {"id": id_, "url": f"/api/v2/users/{id_}.json", "external_id": None, "role": "agent", "user_fields": {"country": None}}  # fmt: skip
    return {**user(row, at), **changes}


def company(number: int, at: float) -> Record:
    id_ = COMPANIES_FROM + number
    return {
        "id": id_, "url": f"/api/v2/organizations/{id_}.json", "name": f"Customer company {number + 1}",
        "shared_tickets": False, "shared_comments": False, "external_id": None, "created_at": moment(at),
        "updated_at": moment(at), "domain_names": [f"company{number + 1}.example"], "details": None, "notes": None,
        "group_id": GROUP, "tags": ["business"], "organization_fields": {},
    }  # fmt: skip


@dataclass
class Change:
    """What a step leads to: the ticket and the records that come into being with it."""

    ticket: Record | None
    event: Record | None = None
    metrics: list[Record] = field(default_factory=list)
    rating: Record | None = None
    metric_set: Record | None = None


def take(step: Step, ticket: Record | None, metric_set: Record | None, at: float) -> Change:
    """``ticket`` and its metrics after ``step``, which is taken ``at``. A step of a user changes no ticket."""
    if step.kind == "create":
        ticket, metric_set = _created(step, at), _new_metrics(step.ticket_id, at)
    if ticket is None or metric_set is None or step.kind.startswith("user_"):
        return Change(None)
    change = Change(dict(ticket), metric_set=dict(metric_set))
    assert change.ticket is not None and change.metric_set is not None
    if step.kind == "scrub":
        change.ticket |= {"subject": SCRUBBED, "raw_subject": SCRUBBED, "description": SCRUBBED, "custom_fields": [], "fields": [], "tags": [], "external_id": None}  # fmt: skip
    if step.kind in ("scrub", "system"):
        return change
    before = change.ticket["status"]
    change.ticket["status"] = STATUS_AFTER.get(step.kind, before)
    change.ticket["updated_at"] = moment(at)
    if step.kind == "assign":
        change.ticket |= {"assignee_id": step.detail["agent"], "group_id": GROUP}
    if step.kind == "rate":
        change.rating = _rating(step, change.ticket, at)
        change.ticket["satisfaction_rating"] = {"score": step.detail["score"], "id": change.rating["id"], "comment": None}  # fmt: skip
    change.event = _event(step, before, change.ticket, at)
    change.metrics = _metric_events(step, change.ticket, at)
    _count(step, change.metric_set, at)
    return change


def _created(step: Step, at: float) -> Record:
    detail = step.detail
    requester = USERS_FROM + detail["user"]
    fields = [
        {"id": ORDER_FIELD, "value": str(detail["order"])},
        {"id": REASON_FIELD, "value": detail["reason"]},
    ]
    return {
        "id": step.ticket_id, "url": f"/api/v2/tickets/{step.ticket_id}.json", "external_id": f"order-{detail['order']}",
        "via": {"channel": detail["channel"], "source": {"from": {}, "to": {}, "rel": None}}, "created_at": moment(at),
        "updated_at": moment(at), "type": "question", "subject": detail["subject"], "raw_subject": detail["subject"],
        "description": detail["text"], "priority": detail["priority"], "status": "new", "recipient": "help@shop.example",
        "requester_id": requester, "submitter_id": requester, "assignee_id": None, "organization_id": detail["company"],
        "group_id": None, "collaborator_ids": [], "follower_ids": [], "email_cc_ids": [], "forum_topic_id": None,
        "problem_id": None, "has_incidents": False, "is_public": True, "due_at": None, "tags": [detail["reason"]],
        "custom_fields": fields, "fields": fields, "satisfaction_rating": {"score": "unoffered"}, "sharing_agreement_ids": [],
        "followup_ids": [], "ticket_form_id": None, "brand_id": 1, "allow_channelback": False, "allow_attachments": True,
        "from_messaging_channel": False,
    }  # fmt: skip


def _event_id(step: Step) -> int:
    return step.ticket_id * 100 + step.number


def _event(step: Step, before: str, ticket: Record, at: float) -> Record:
    """An audit of the ticket: what changed, and a comment if there was one."""
    id_ = _event_id(step)
    author = step.detail.get("agent") or (USERS_FROM + step.detail["user"] if "user" in step.detail else -1)
    children: list[Record] = []
    if step.kind == "create" or ticket["status"] != before:
        previous = None if step.kind == "create" else before
        children.append({"id": id_ * 10 + 1, "via": "Web form", "event_type": "Create" if step.kind == "create" else "Change", "status": ticket["status"], "previous_value": previous})  # fmt: skip
    if step.kind == "rate":
        children.append({"id": id_ * 10 + 2, "via": "Web form", "event_type": "Change", "satisfaction_score": step.detail["score"]})  # fmt: skip
    if "text" in step.detail:
        comment = {"type": "Comment", "author_id": author, "body": step.detail["text"], "html_body": f"<p>{step.detail['text']}</p>", "public": True, "attachments": [], "audit_id": id_, "created_at": moment(at)}  # fmt: skip
        children.append({"id": id_ * 10 + 3, "via": "Web form", "event_type": "Comment", "comment_present": True, "comment_public": True, "comment": comment})  # fmt: skip
    return {
        "id": id_, "ticket_id": ticket["id"], "timestamp": int(at), "created_at": moment(at), "updater_id": author,
        "via": "Web form" if step.kind != "close" else "Automation", "system": {}, "event_type": "Audit", "child_events": children,
    }  # fmt: skip


def _metric_events(step: Step, ticket: Record, at: float) -> list[Record]:
    told = {
        "create": [("reply_time", "activate"), ("requester_wait_time", "activate"), ("agent_work_time", "activate")],
        "answer": [("reply_time", "fulfill"), ("requester_wait_time", "pause")],
        "ask": [("reply_time", "activate"), ("requester_wait_time", "activate")],
        "solve": [("requester_wait_time", "fulfill"), ("agent_work_time", "fulfill")],
    }.get(step.kind, [])  # fmt: skip
    return [
        {"id": _event_id(step) * 10 + n, "ticket_id": ticket["id"], "metric": metric, "instance_id": 1, "type": type_, "time": moment(at)}
        for n, (metric, type_) in enumerate(told)
    ]  # fmt: skip


def _new_metrics(ticket_id: int, at: float) -> Record:
    unset = {"calendar": None, "business": None}
    return {
        "id": ticket_id, "url": f"/api/v2/ticket_metrics/{ticket_id}.json", "ticket_id": ticket_id, "created_at": moment(at),
        "updated_at": moment(at), "group_stations": 1, "assignee_stations": 0, "reopens": 0, "replies": 0, "assigned_at": None,
        "initially_assigned_at": None, "solved_at": None, "latest_comment_added_at": moment(at), "status_updated_at": moment(at),
        "reply_time_in_minutes": unset, "first_resolution_time_in_minutes": unset, "full_resolution_time_in_minutes": unset,
    }  # fmt: skip


def _count(step: Step, metrics: Record, at: float) -> None:
    now, minutes = moment(at), int((at - _epoch(metrics["created_at"])) // 60)
    spent = {"calendar": minutes, "business": minutes // 3}
    metrics["updated_at"] = now
    if step.kind in STATUS_AFTER:
        metrics["status_updated_at"] = now
    if step.kind == "assign":
        metrics |= {"assigned_at": now, "initially_assigned_at": metrics["initially_assigned_at"] or now, "assignee_stations": metrics["assignee_stations"] + 1}  # fmt: skip
    elif step.kind == "answer":
        metrics |= {"replies": metrics["replies"] + 1, "latest_comment_added_at": now}
        if metrics["replies"] == 1:
            metrics["reply_time_in_minutes"] = spent
    elif step.kind == "ask":
        metrics |= {"latest_comment_added_at": now}
    elif step.kind == "solve":
        metrics |= {"solved_at": now, "full_resolution_time_in_minutes": spent}
        if metrics["first_resolution_time_in_minutes"]["calendar"] is None:
            metrics["first_resolution_time_in_minutes"] = spent


def _rating(step: Step, ticket: Record, at: float) -> Record:
    id_ = _event_id(step)
    return {
        "id": id_, "url": f"/api/v2/satisfaction_ratings/{id_}.json", "ticket_id": ticket["id"], "score": step.detail["score"],
        "requester_id": ticket["requester_id"], "assignee_id": ticket["assignee_id"], "group_id": ticket["group_id"],
        "comment": None, "reason": None, "created_at": moment(at), "updated_at": moment(at),
    }  # fmt: skip


MACROS = (
    "Ask for the order number",
    "Send the tracking number",
    "Refund the order",
    "Offer a coupon",
    "Close as spam",
)
VIEWS = ("Your unsolved tickets", "Unassigned tickets", "All unsolved tickets", "Recently updated tickets", "Suspended tickets")  # fmt: skip


def fixed(kind: str, titles: tuple[str, ...], at: float) -> list[Record]:
    """Macros and views: a handful that nobody changes."""
    return [
        {
            "id": 310_000_000_000 + n, "url": f"/api/v2/{kind}/{310_000_000_000 + n}.json", "title": title, "active": True,
            "created_at": moment(at), "updated_at": moment(at), "position": n, "description": None, "restriction": None,
        }
        for n, title in enumerate(titles)
    ]  # fmt: skip
