"""Renders the dbt view ``consents``: the newest answer of each person to each purpose, over all tables with answers and those by hand. Pure.

It is a view, so that who withdrew is withdrawn as soon as the answer has landed. An answer that is neither yes nor no is no; of two at
the same instant a no holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from data_platform.printable import yaml_quoted
from data_platform.privacy.consent.config import BY_HAND, Answers, ConsentBlock, FixedPurpose

PURPOSES = "purposes"
"""The key of the view's `meta` under which are the purposes, with what holds for a person who never answered."""
COLUMNS = {
    "subject_kind": ("varchar", "The kind of people, a name in catalog/subjects.yaml."),
    "subject_key": ("varchar", "The person's consent key, as text; the key together with `purpose`."),
    "purpose": ("varchar", "What data would be used for."),
    "state": ("varchar", "The person's newest answer: `granted` or `withdrawn`."),
    "policy_version": ("varchar", "The version of the policy that the person answered to, if it is known."),
    "decided_at": ("timestamptz", "When the person answered."),
    "said_by": ("varchar", "The table with the answer, or `by hand`."),
    "counts": ("boolean", "Whether the person agreed, to a version of the policy that counts."),
}
Blocks = Mapping[str, ConsentBlock]
"""By kind of people."""


def render_view(blocks: Blocks, mark: str) -> str:
    """The model's SQL. ``mark`` is its first line, as a comment."""
    answers = [_answers(kind, one) for kind, block in sorted(blocks.items()) for one in block.from_]
    asked = [f"(subject_kind = {_text(kind)} and {_asked(block)})" for kind, block in sorted(blocks.items())]
    return _VIEW.format(
        mark=mark,
        answers="\n\n    union all\n".join([*answers, _DECISIONS]),
        asked="\n            or ".join(asked),
        counting="\n            or ".join(_counting(blocks)),
    )


def render_properties(blocks: Blocks, class_: str | None, mark: str) -> str:
    """The model's YAML. ``class_`` is what a consent key holds of a person (``privacy/classes.py``)."""
    known = {
        purpose: one.otherwise for block in blocks.values() for purpose, one in sorted(block.purposes.items())
    }
    said = ", ".join(f"{purpose}: {otherwise}" for purpose, otherwise in known.items())
    lines = [
        f"# {mark}",
        "version: 2",
        "",
        "models:",
        "  - name: consents",
        "    description: >",
        "      One row per person and purpose: the newest answer that has landed, over all tables with answers. A view, so that who",
        "      withdrew is withdrawn at once. A person who never answered has no row.",
        f"    config: {{meta: {{{PURPOSES}: {{{said}}}}}}}",
        "    columns:",
    ]
    for name, (type_, description) in COLUMNS.items():
        lines += [
            f"      - name: {name}",
            f"        data_type: {type_}",
            f"        description: {yaml_quoted(description)}",
        ]
        if name == "subject_key" and class_ is not None:
            lines.append(f"        config: {{meta: {{privacy: {class_}}}}}")
    return "\n".join(lines) + "\n" + _SOURCE


_SOURCE = """
sources:
  - name: privacy
    schema: "{{ env_var('DATA_PLATFORM_SCHEMA_PREFIX', '') }}privacy"
    description: What the platform keeps in the warehouse of people's decisions.
    tables:
      - name: consent_decisions
        description: Answers that were written down by hand, from the log of consents in the landing store.
        config: {meta: {dagster: {asset_key: [privacy, consent_decisions]}}}
"""


def _answers(kind: str, one: Answers) -> str:
    taken = {"subject_key": (one.subject, "varchar")}
    taken["answer"] = (one.state, "boolean" if isinstance(one.granted, bool) else "varchar")
    taken["decided_at"] = (one.at, "timestamptz")
    purpose = _text(one.purpose.value) if isinstance(one.purpose, FixedPurpose) else "purpose"
    if not isinstance(one.purpose, FixedPurpose):
        taken["purpose"] = (one.purpose, "varchar")
    if one.version is not None:
        taken["policy_version"] = (one.version, "varchar")
    yes = (
        "answer"
        if isinstance(one.granted, bool)
        else f"lower(trim(answer)) in ({', '.join(_yes(one.granted))})"
    )
    columns = ", ".join(f"{name!r}: [{_jinja(column)}, '{type_}']" for name, (column, type_) in taken.items())
    version = "policy_version" if one.version is not None else "null"
    return f"""
    select
        {_cast(_text(kind))} as subject_kind,
        subject_key,
        {_cast(purpose)} as purpose,
        case when {yes} then 1 else 0 end as agreed,
        {_cast(version)} as policy_version,
        decided_at,
        {_cast(_text(one.table))} as said_by
    from {{{{ landed({_jinja(one.id.source)}, {_jinja(one.id.table)}, {{{columns}}}) }}}} as answered"""


def _asked(block: ConsentBlock) -> str:
    """Whether these people are asked for the purpose: a key of theirs may be another person's among people of another kind."""
    return f"purpose in ({', '.join(map(_text, sorted(block.purposes)))})"


def _counting(blocks: Blocks) -> Iterator[str]:
    """Conditions, of which one holds where an answer is to a version that counts."""
    for block in blocks.values():
        for purpose, one in sorted(block.purposes.items()):
            versions = (
                f" and policy_version in ({', '.join(map(_text, one.versions))})" if one.versions else ""
            )
            yield f"(purpose = {_text(purpose)}{versions})"


def _yes(values: Collection[str]) -> list[str]:
    return sorted({_text(value.strip(" ").lower()) for value in values})


def _cast(sql: str) -> str:
    return f"cast({sql} as {{{{ column_type('varchar') }}}})"


def _text(value: str) -> str:
    return f"'{value}'"


def _jinja(text: str) -> str:
    """A text within an expression of Jinja."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_DECISIONS = """
    select
        subject_kind,
        subject_key,
        purpose,
        case when answer = 'granted' then 1 else 0 end as agreed,
        policy_version,
        decided_at,
        {by_hand} as said_by
    from {{ landed('privacy', 'consent_decisions', {'subject_kind': ['subject_kind', 'varchar'], 'subject_key': ['subject_key', 'varchar'], 'purpose': ['purpose', 'varchar'], 'answer': ['state', 'varchar'], 'policy_version': ['policy_version', 'varchar'], 'decided_at': ['decided_at', 'timestamptz']}) }} as decided
    where subject_key is not null""".replace("{by_hand}", _cast(_text(BY_HAND)))

_VIEW = """{{# {mark} #}}
{{{{ config(materialized='view') }}}}

with answers as (
{answers}

),

ranked as (

    select
        answers.*,
        row_number() over (
            partition by subject_kind, subject_key, purpose
            order by decided_at desc nulls last, agreed, policy_version desc nulls last, said_by
        ) as newest
    from answers
    where
        subject_key is not null and (
            {asked}
        )

)

select
    subject_kind,
    subject_key,
    purpose,
    cast(case when agreed = 1 then 'granted' else 'withdrawn' end as {{{{ column_type('varchar') }}}}) as state,
    policy_version,
    decided_at,
    said_by,
    coalesce(
        agreed = 1 and (
            {counting}
        ), false
    ) as counts
from ranked
where newest = 1
"""
