"""What of the data can be believed, and if not, since when and why. Pure.

Every table and model has four aspects: fresh, checked, complete, backed up. An aspect is ``ok``, ``warn``, ``bad`` or
``unknown``, and ``none`` where nothing could be said by anybody (a table without a check). What is unknown is
never ok. A model is trusted as little as the worst of what it is made from; so is a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from data_platform.observability.trust import (
    ASPECTS,
    RANK,
    Aspect,
    Backups,
    Check,
    Figure,
    Group,
    Health,
    Incident,
    Judged,
    Series,
    State,
    Thing,
    Trust,
    counts,
    worst,
)
from data_platform.words import plural

BUILD_GRACE = timedelta(hours=1)
"""A model may be behind a load of what it is made from for as long as a build may take."""
CHECK_GRACE = timedelta(minutes=15)
"""A check may be older than the data by this: it is evaluated after the load, in the same run."""
COMPARED_WITHIN = timedelta(days=8)
"""A comparison with the source that is older says nothing of today's rows."""


def assess(
    things: Sequence[Thing],
    series: Sequence[Series],
    backups: Backups,
    now: datetime,
    environment: str,
    incidents: Sequence[Incident] | None = None,
    notes: Sequence[str] = (),
) -> Health:
    """The health of everything, as of ``now``."""
    known = {thing.label: thing for thing in things}
    above = {thing.label: _above(thing, known) for thing in things}
    own = {
        thing.label: _own(thing, [known[one] for one in above[thing.label]], backups, now) for thing in things
    }
    judged = tuple(
        Judged(thing, own[thing.label], _whole([own[thing.label], *(own[one] for one in above[thing.label])]))
        for thing in things
    )
    by_relation = {one.thing.relation.lower(): one for one in judged}
    return Health(
        at=now,
        environment=environment,
        judged=judged,
        figures=tuple(_figure(one, by_relation.get(one.relation.lower()), above) for one in series),
        backups=backups,
        incidents=None if incidents is None else tuple(incidents),
        notes=tuple(notes),
        domains=_groups(judged, lambda thing: thing.domain),
        owners=_groups(judged, lambda thing: thing.owner or "nobody"),
    )


def _above(thing: Thing, known: Mapping[str, Thing]) -> list[str]:
    """Everything upstream of ``thing``, at any distance."""
    seen: dict[str, None] = {}
    waiting = list(thing.upstream)
    while waiting:
        label = waiting.pop(0)
        if label in known and label not in seen and label != thing.label:
            seen[label] = None
            waiting += known[label].upstream
    return list(seen)


def _own(thing: Thing, above: Sequence[Thing], backups: Backups, now: datetime) -> Trust:
    if thing.error is not None:
        lost = Aspect("unknown", thing.error, of=thing.label)
        return Trust(lost, lost, lost, _backed_up(thing, backups, now))
    fresh = _fresh_table(thing, now) if thing.kind == "table" else _fresh_model(thing, above, now)
    return Trust(fresh, _checked(thing), _complete(thing, now), _backed_up(thing, backups, now))


def _fresh_table(thing: Thing, now: datetime) -> Aspect:
    def say(state: State, text: str, since: datetime | None = None) -> Aspect:
        return Aspect(state, text, since, thing.label)

    if thing.seen_at is None:
        return say("bad", thing.failure or "it was never synced")
    if thing.failure:
        return say("bad", f"it could not be read since then: {thing.failure}", thing.seen_at)
    if now - thing.seen_at > thing.fresh_for:
        return say(
            "bad",
            f"no sync for {_hours(thing.fresh_for)}, which it may last",
            thing.seen_at + thing.fresh_for,
        )
    if thing.behind is None:
        return say("unknown", "the warehouse could not say what it holds")
    if thing.behind:
        return say("bad", f"{plural(thing.behind, 'batch')} landed and not loaded", thing.changed_at)
    return say("ok", "its source was read", thing.seen_at)


def _fresh_model(thing: Thing, above: Sequence[Thing], now: datetime) -> Aspect:
    """A model is fresh if it was built after the last change of every table that it is made from."""

    def say(state: State, text: str, since: datetime | None = None) -> Aspect:
        return Aspect(state, text, since, thing.label)

    if thing.seen_at is None:
        return say("bad", "it was never built")
    newer = [
        (one.changed_at, one.label)
        for one in above
        if one.kind == "table" and one.changed_at is not None and one.changed_at > thing.seen_at
    ]
    if not newer:
        return say("ok", "it was built after the newest load of all it is made from", thing.seen_at)
    since, label = min(newer)
    late = now - since > BUILD_GRACE
    return say("bad" if late else "warn", f"it does not hold the newest load of {label} yet", since)


def _checked(thing: Thing) -> Aspect:
    def say(state: State, text: str, since: datetime | None = None) -> Aspect:
        return Aspect(state, text, since, thing.label)

    checks = thing.checks
    if not checks:
        return say("none", "no check is declared")
    errors = [one for one in checks if one.state == "failed" and one.severity == "error"]
    if errors:
        return say("bad", _failing(errors), _first(errors))
    never = [one for one in checks if one.state == "unknown" and one.at is None]
    lost = [one for one in checks if one.state == "unknown" and one.at is not None]
    if lost:
        why = f": {lost[0].text}" if lost[0].text else ""
        return say("unknown", f"{_named(lost)} cannot be evaluated{why}", _first(lost))
    if never:
        return say("unknown", f"{_named(never)} {'was' if len(never) == 1 else 'were'} never evaluated")
    changed = thing.changed_at
    old = [one for one in checks if changed and one.at and one.at < changed - CHECK_GRACE]
    if old:
        return say(
            "unknown",
            f"the rows have changed since {_named(old)} {'was' if len(old) == 1 else 'were'} evaluated",
            changed,
        )
    warnings = [one for one in checks if one.state == "failed"]
    if warnings:
        return say("warn", _failing(warnings), _first(warnings))
    last = min((one.at for one in checks if one.at), default=None)
    return say("ok", f"{plural(len(checks), 'check')} passed", last)


def _complete(thing: Thing, now: datetime) -> Aspect:
    def say(state: State, text: str, since: datetime | None = None) -> Aspect:
        return Aspect(state, text, since, thing.label)

    last = thing.complete
    if thing.kind != "table":
        return say("none", "it is as complete as the tables that it is made from")
    if not thing.provable:
        return say("none", "its source gives no counts to compare with")
    if last is None or last.at is None:
        return say("unknown", "it was never compared with its source")
    if last.state == "failed":
        return say("bad", last.text or "it differs from its source", last.since or last.at)
    if last.state == "unknown":
        return say("unknown", last.text or "the comparison could not be made", last.since or last.at)
    if now - last.at > COMPARED_WITHIN:
        return say("unknown", "it was not compared with its source for more than a week", last.at)
    return say("ok", "every day has the source's rows and versions", last.at)


def _backed_up(thing: Thing, backups: Backups, now: datetime) -> Aspect:
    def say(state: State, text: str, since: datetime | None = None) -> Aspect:
        return Aspect(state, text, since, thing.label)

    if backups.absent:
        return say("none" if backups.elsewhere else "bad", backups.absent)
    if thing.kind == "view":
        return say("none", "a view holds no rows of its own")
    made = [copy.made_at for copy in backups.copies if copy.made_at is not None]
    if not made:
        why = next((copy.problem for copy in backups.copies if copy.problem), "")
        return say("bad", why or "there is no backup yet")
    newest = max(made)
    if now - newest > backups.max_age:
        return say(
            "bad", f"the newest good backup is older than {_hours(backups.max_age)}", newest + backups.max_age
        )
    if thing.relation.lower() not in backups.held:
        return say("warn", "it is not in the newest backup yet", newest)
    lacking = [copy for copy in backups.copies if copy.problem]
    if lacking:
        return say("warn", f"{lacking[0].name}: {lacking[0].problem}", newest)
    return say("ok", "a copy was made and every byte of it read back", newest)


def _whole(trusts: Sequence[Trust]) -> Trust:
    return Trust(*(worst([getattr(one, name) for one in trusts]) for name in ASPECTS))


def _figure(series: Series, of: Judged | None, above: Mapping[str, Sequence[str]]) -> Figure:
    if of is None:
        lost = Aspect(
            "unknown", f"{series.relation} is no table or model of the platform", of=series.relation
        )
        return Figure(series, Trust(lost, lost, lost, lost))
    trust, label = of.trust, of.thing.label
    if series.error is not None:
        trust = replace(trust, fresh=worst([trust.fresh, Aspect("unknown", series.error, of=label)]))
    return Figure(series, trust, of.thing.link, label, frozenset({label, *above[label]}))


def _groups(judged: Sequence[Judged], name: Callable[[Thing], str]) -> tuple[Group, ...]:
    parts: dict[str, list[Judged]] = {}
    for one in judged:
        parts.setdefault(name(one.thing), []).append(one)
    groups = [
        Group(name, counts(some), worst([one.trust.worst for one in some])) for name, some in parts.items()
    ]
    return tuple(sorted(groups, key=lambda one: (-RANK[one.worst.state], one.name)))


def _failing(checks: Sequence[Check]) -> str:
    why = checks[0].text.rstrip(". ")
    return f"{_named(checks)} {'fails' if len(checks) == 1 else 'fail'}" + (f": {why}" if why else "")


def _named(checks: Sequence[Check]) -> str:
    others = f" and {plural(len(checks) - 1, 'other check')}" if len(checks) > 1 else ""
    return f"{checks[0].name}{others}"


def _first(checks: Iterable[Check]) -> datetime | None:
    moments = [one.since or one.at for one in checks]
    return min((moment for moment in moments if moment), default=None)


def _hours(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:g} hours" if hours != 1 else "1 hour"
